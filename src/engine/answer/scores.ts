// Log probabilities of one sequence's tokens: what rows say → entries of text, in step with the text that goes out.
// It owns no rows and decides nothing about batches; memory is bounded, since entries leave with the step that made them
// or wait for their own text.

import { AppError } from "../../protocol/errors.ts";
import type { GenerationEvent, TokenScore } from "../../protocol/generation.ts";
import type { Backend, OutputRow, RowScores } from "../backend.ts";
import { Detokenizer, type TokenTexts } from "./detokenizer.ts";

export type Delta = Extract<GenerationEvent, { type: "delta" }>;

const NOTHING_PRESERVED: ReadonlySet<number> = new Set();

export interface ScoreSettings {
  /** Likeliest tokens in each place. */
  top: number;
  /** The prompt's tokens too; null = the answer's alone. `text` is the prompt as it is echoed. */
  prompt: { tokens: Int32Array; text: string } | null;
  /** Log probabilities in all, alternatives among them: whoever collects them has only so much room. */
  most: number;
}

export class Scores {
  readonly top: number;
  /** Leading rows of the prompt that say something which is still wanted; each of them needs output. */
  readonly promptRows: number;
  readonly #texts: TokenTexts;
  readonly #decoder: Detokenizer;
  readonly #pending: TokenScore[] = [];
  readonly #most: number;
  #count = 0;
  /** Rows of the prompt that were read. */
  #promptRead = 0;
  /** Code points of the prompt as it is echoed. */
  #promptChars = 0;
  /** Code points of the tokens so far, and of the text that went out. */
  #offset = 0;
  #emitted = 0;

  /** Throws when the prompt's own are too many. */
  constructor(texts: TokenTexts, settings: ScoreSettings) {
    this.top = settings.top;
    this.#most = settings.most;
    this.#checkRoom((settings.prompt?.tokens.length ?? 0) * (1 + settings.top));
    this.#texts = texts;
    this.#decoder = new Detokenizer(texts, NOTHING_PRESERVED);
    this.promptRows = settings.prompt === null ? 0 : Math.max(0, settings.prompt.tokens.length - 1);
    if (settings.prompt !== null) this.#begin(settings.prompt.tokens, settings.prompt.text);
  }

  /** The next rows have to have output, all of them. */
  get readsPrompt(): boolean {
    return this.#promptRead < this.promptRows;
  }

  /** Takes the rows [start, start + count) of a prompt out of the last batch. Rows that were taken before say nothing new. */
  readPrompt(backend: Backend, tokens: Int32Array, start: number, rows: readonly OutputRow[]): Delta | null {
    const from = this.#promptRead - start;
    const to = Math.min(rows.length, this.promptRows - start);
    if (from < 0 || to <= from) return null;
    const next = tokens.slice(start + from + 1, start + to + 1);
    const scores = backend.scoreRows(rows.slice(from, to), next, this.top);
    for (const [i, token] of next.entries()) this.#push(token, logprobOf(scores, i), this.#readTop(scores, i));
    this.#promptRead = start + to;
    // Control tokens that the prompt spelled out have no text of their own: the answer begins where the echo ends.
    if (!this.readsPrompt) this.#offset = this.#promptChars;
    return this.#release();
  }

  /** A token was sampled from row `i` of these. */
  note(token: number, logprob: number, scores: RowScores, i: number): void {
    this.#push(token, logprob, this.#readTop(scores, i));
  }

  /** Gives the entries whose text went out with these events. Throws when all so far are too many. */
  attach(events: readonly Delta[]): Delta[] {
    this.#checkRoom(this.#count);
    for (const { text } of events) this.#emitted += countChars(text ?? "");
    const at = this.#pending.findIndex(({ offset }) => offset >= this.#emitted);
    const scores = this.#pending.splice(0, at < 0 ? this.#pending.length : at);
    return scores.length === 0 ? [...events] : withScores(events, scores);
  }

  /** The last events. `stopped`: text from a stop string on is not part of the output, and neither are its tokens. */
  finish(events: readonly Delta[], stopped: boolean): Delta[] {
    const out = this.attach(events);
    const rest = this.#pending.splice(0);
    return stopped || rest.length === 0 ? out : withScores(out, rest);
  }

  /** Nothing comes before the first token, so nothing says how likely it is. */
  #begin(tokens: Int32Array, text: string): void {
    const [first] = tokens;
    if (first === undefined) return;
    this.#push(first, null, []);
    this.#promptChars = countChars(text);
    this.#emitted = this.#promptChars;
    // Some tokenizers write a space before a text that has none: it is in the tokens, not in the text.
    const probe = new Detokenizer(this.#texts, NOTHING_PRESERVED);
    const beginning = Array.from(tokens.subarray(0, 4), (token) => probe.push(token)).join("");
    if (beginning.startsWith(" ") && !text.startsWith(" ")) this.#offset--;
    if (!this.readsPrompt) this.#offset = this.#promptChars;
  }

  /** Entries of the prompt: its text went out before. */
  #release(): Delta | null {
    const scores = this.#pending.splice(0);
    return scores.length === 0 ? null : { type: "delta", scores };
  }

  #push(token: number, logprob: number | null, top: [string, number][]): void {
    this.#count += 1 + top.length;
    this.#pending.push({ text: this.#describe(token), offset: Math.max(0, this.#offset), logprob, top });
    this.#offset += countChars(this.#decoder.push(token));
  }

  #checkRoom(count: number): void {
    if (count <= this.#most) return;
    throw new AppError({
      code: "invalid_request",
      message: `\`logprobs\` gives ${count} numbers for this choice, and ${this.#most} are its share of an answer in one piece.`,
      hint: "Stream the answer, or ask for fewer choices, tokens or log probabilities.",
      param: "logprobs",
    });
  }

  #readTop(scores: RowScores, i: number): [string, number][] {
    const each = scores.topTokens.length / scores.sums.length;
    const tokens = scores.topTokens.subarray(i * each, i * each + Math.min(this.top, each));
    const sum = scores.sums[i] ?? 0;
    return Array.from(tokens, (token, at) => [
      this.#describe(token),
      toLogprob((scores.topLogits[i * each + at] ?? 0) - sum),
    ]);
  }

  #describe(token: number): string {
    return describeBytes(this.#texts.bytes(token, true));
  }
}

function logprobOf(scores: RowScores, i: number): number {
  return toLogprob((scores.logits[i] ?? 0) - (scores.sums[i] ?? 0));
}

/** JSON has no infinity: what is impossible to the model gets a number that no possible token has. */
export function toLogprob(logprob: number): number {
  return Number.isFinite(logprob) ? logprob : LOGPROB_MIN;
}

const LOGPROB_MIN = -9999;

function withScores(events: readonly Delta[], scores: TokenScore[]): Delta[] {
  const last = events.at(-1) ?? { type: "delta" };
  return [...events.slice(0, -1), { ...last, scores: [...(last.scores ?? []), ...scores] }];
}

function countChars(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A token's bytes as text, or in OpenAI's notation where they are a part of a character. */
export function describeBytes(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch (thrown) {
    if (!(thrown instanceof TypeError)) throw thrown;
    return `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
  }
}
