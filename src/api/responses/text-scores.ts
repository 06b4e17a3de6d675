// Which of the tokens that were generated make up the text of a message: the engine scores all of them, thoughts, calls and
// the marks between them included, and a part of the text may be held back while its tokens are known. Pure.

import type { TokenScore } from "../../protocol/generation.ts";

export class TextScores {
  #pending: TokenScore[] = [];

  note(scores: readonly TokenScore[]): void {
    for (const score of scores) this.#pending.push(score);
  }

  /** What came so far was no text. */
  skip(): void {
    this.#pending = [];
  }

  /** The tokens of the text that goes out now. All of them where its characters are in pieces, which can't be found. */
  take(text: string): TokenScore[] {
    const pending = this.#pending;
    const begin = pending
      .map((score) => score.text)
      .join("")
      .lastIndexOf(text);
    if (begin < 0) {
      this.#pending = [];
      return pending;
    }
    const end = begin + text.length;
    const taken: TokenScore[] = [];
    const later: TokenScore[] = [];
    let at = 0;
    for (const score of pending) {
      const from = at;
      at += score.text.length;
      if (from >= end) later.push(score);
      else if (at > begin) taken.push(score);
    }
    this.#pending = later;
    return taken;
  }
}
