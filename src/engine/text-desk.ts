// Questions about texts: their tokens, the text of tokens, a chat as its template writes it. What takes long runs beside
// the engine's thread, and what has to run on it (the bytes of each token) a share in each step.

import { AppError, toAppError } from "../protocol/errors.ts";
import {
  PIECES_MAX,
  packTextAnswer,
  TEXT_BYTES_MAX,
  type TextAnswer,
  type TextQuestion,
  TOKENS_MAX,
} from "../protocol/text-question.ts";
import { AbandonedTasks } from "./abandoned-tasks.ts";
import type { Backend, Task, TextFacts, TextSource } from "./backend.ts";
import type { Send } from "./outbox.ts";

/** Questions answered at once: each may take a thread, and a long one should not keep the short ones behind it waiting. */
const TASKS_MAX = 4;

/** Tokens whose bytes are read in one step, by a call each: 2 ms, of which streams notice nothing. */
const READS_A_STEP = 2048;

interface Entry {
  id: number;
  question: TextQuestion;
  task: Task<TextFacts> | null;
  /** Tokens whose bytes are wanted; null while they are not known. */
  tokens: Int32Array | null;
  /** The bytes of the first of them. */
  pieces: Uint8Array[];
  bytes: number;
}

export class TextDesk implements Disposable {
  readonly #backend: Backend;
  readonly #send: Send;
  readonly #entries: Entry[] = [];
  readonly #abandoned = new AbandonedTasks();

  constructor(backend: Backend, send: Send) {
    this.#backend = backend;
    this.#send = send;
  }

  /** There is something to do without waiting for a task. */
  get isReady(): boolean {
    return this.#entries
      .slice(0, TASKS_MAX)
      .some(({ task, tokens }) => task === null || tokens !== null || task.poll().kind !== "running");
  }

  add(id: number, question: TextQuestion): void {
    this.#entries.push({ id, question, task: null, tokens: null, pieces: [], bytes: 0 });
  }

  cancel(id: number): boolean {
    const entry = this.#entries.find((candidate) => candidate.id === id);
    if (entry === undefined) return false;
    this.#abandoned.add(entry.task);
    entry.task = null;
    this.#remove(entry);
    return true;
  }

  step(): void {
    this.#abandoned.sweep();
    for (const entry of this.#entries.slice(0, TASKS_MAX)) {
      try {
        const answer = this.#answer(entry);
        if (answer === null) continue;
        this.#remove(entry);
        const { head, payload } = packTextAnswer(answer);
        this.#send({ type: "told", id: entry.id, ...head }, payload);
      } catch (thrown) {
        this.#remove(entry);
        this.#send({ type: "refused", id: entry.id, error: toAppError(thrown).toBody() });
      }
    }
  }

  /** Null: it takes longer. */
  #answer(entry: Entry): TextAnswer | null {
    const { question } = entry;
    if (question.ask === "text") {
      entry.tokens ??= this.#checkTokens(question.tokens);
      return this.#readPieces(entry, entry.tokens) ? { kind: "text", text: Buffer.concat(entry.pieces) } : null;
    }
    if (question.ask === "prompt") {
      const facts = this.#ask(entry, question.prompt, "messages");
      return facts === null ? null : { kind: "text", text: checkText(new TextEncoder().encode(facts.text)) };
    }
    const { content, addSpecial, parseSpecial, withPieces } = question;
    if (entry.tokens === null) {
      const facts = this.#ask(entry, { kind: "pieces", pieces: content, addSpecial, parseSpecial }, "content");
      if (facts === null) return null;
      entry.tokens = checkCount(facts.tokens, withPieces);
    }
    const { tokens, pieces } = entry;
    if (!withPieces) return { kind: "tokens", tokens, pieces: null };
    return this.#readPieces(entry, tokens) ? { kind: "tokens", tokens, pieces } : null;
  }

  /** `param`: the field that is at fault when the model's template or tokenizer can't take it. */
  #ask(entry: Entry, source: TextSource, param: string): TextFacts | null {
    entry.task ??= this.#backend.readText(source);
    const state = entry.task.poll();
    if (state.kind === "running") return null;
    if (state.kind === "done") return entry.task.take();
    throw new AppError({ code: "invalid_request", message: state.error.message, param });
  }

  #checkTokens(tokens: readonly number[]): Int32Array {
    const { vocabularySize } = this.#backend.info;
    const bad = tokens.findIndex((token) => token < 0 || token >= vocabularySize);
    if (bad < 0) return Int32Array.from(tokens);
    const message = `token ${tokens[bad]} is not in the vocabulary of ${vocabularySize}`;
    throw new AppError({ code: "invalid_request", message, param: `tokens[${bad}]` });
  }

  /** A step's share of them; true when all are there. */
  #readPieces(entry: Entry, tokens: Int32Array): boolean {
    const from = entry.pieces.length;
    for (const token of tokens.subarray(from, from + READS_A_STEP)) {
      const piece = this.#backend.tokenBytes(token, true);
      entry.pieces.push(piece);
      entry.bytes += piece.byteLength;
    }
    if (entry.bytes > TEXT_BYTES_MAX) throw tooLong();
    return entry.pieces.length === tokens.length;
  }

  #remove(entry: Entry): void {
    entry.task?.[Symbol.dispose]();
    entry.task = null;
    const at = this.#entries.indexOf(entry);
    if (at >= 0) this.#entries.splice(at, 1);
  }

  [Symbol.dispose](): void {
    this.#abandoned[Symbol.dispose]();
    for (const entry of this.#entries.splice(0)) entry.task?.[Symbol.dispose]();
  }
}

function checkCount(tokens: Int32Array, withPieces: boolean): Int32Array {
  const most = withPieces ? PIECES_MAX : TOKENS_MAX;
  if (tokens.length <= most) return tokens;
  const message = `\`content\` has ${tokens.length} tokens, at most ${most} are listed${withPieces ? " with pieces" : ""}`;
  throw new AppError({ code: "invalid_request", message, hint: "Ask for a part of it at a time.", param: "content" });
}

function checkText(text: Uint8Array): Uint8Array {
  if (text.byteLength > TEXT_BYTES_MAX) throw tooLong();
  return text;
}

function tooLong(): AppError {
  const message = `the text has more than ${TEXT_BYTES_MAX} bytes`;
  return new AppError({ code: "invalid_request", message, hint: "Ask for a part of it at a time." });
}
