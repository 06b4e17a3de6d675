// One sequence's way from tokens to events: text, stop strings, and the parser of reasoning and tool calls.

import type { FinishReason, GenerationEvent, ToolCallDelta } from "../../protocol/generation.ts";
import type { AnswerParser, ParsedPiece } from "../backend.ts";
import type { Detokenizer } from "./detokenizer.ts";
import type { StopMatcher } from "./stop-matcher.ts";

/** An answer that nobody reads along goes out in pieces of this many characters: one message must hold it. */
const HELD_CHARS_MAX = 1024 * 1024;

type Delta = Extract<GenerationEvent, { type: "delta" }>;

export interface AnswerParts {
  detokenizer: Detokenizer;
  stops: StopMatcher;
  parser: AnswerParser | null;
  /** Nobody reads along: everything comes at the end, in one event. */
  whole: boolean;
}

export class Answer implements Disposable {
  readonly #parts: AnswerParts;
  #held = "";
  #calledTools = false;
  #stopString: string | null = null;

  constructor(parts: AnswerParts) {
    this.#parts = parts;
  }

  /** The stop string that ended the answer, if one did. */
  get stopString(): string | null {
    return this.#stopString;
  }

  /** Events that a token makes certain. `stopped`: a stop string was met, so the sequence ends. */
  push(token: number): { events: Delta[]; stopped: boolean } {
    const { text, stop } = this.#parts.stops.push(this.#parts.detokenizer.push(token));
    this.#stopString = stop;
    return { events: this.#emit(text, false), stopped: stop !== null };
  }

  /** What was held back. */
  finish(): Delta[] {
    const { stops, detokenizer } = this.#parts;
    if (this.#stopString !== null) return this.#emit("", true);
    const last = stops.push(detokenizer.flush());
    this.#stopString = last.stop;
    return this.#emit(last.stop === null ? last.text + stops.flush() : last.text, true);
  }

  finishReason(reason: FinishReason): FinishReason {
    return this.#calledTools && reason === "stop" ? "tool_calls" : reason;
  }

  #emit(text: string, final: boolean): Delta[] {
    const { parser, whole } = this.#parts;
    if (whole && !final && this.#held.length < HELD_CHARS_MAX) {
      this.#held += text;
      return [];
    }
    const ready = this.#held + text;
    this.#held = "";
    if (parser === null) return ready === "" ? [] : [{ type: "delta", text: ready }];
    if (ready === "" && !final) return [];
    const deltas = parser.push(ready, final).map((piece) => this.#toDelta(piece));
    return whole ? joinDeltas(deltas) : deltas;
  }

  #toDelta(piece: ParsedPiece): Delta {
    const delta: Delta = { type: "delta" };
    if (piece.text !== undefined) delta.text = piece.text;
    if (piece.reasoning !== undefined) delta.reasoning = piece.reasoning;
    if (piece.toolCall !== undefined) {
      this.#calledTools = true;
      delta.toolCalls = [piece.toolCall satisfies ToolCallDelta];
    }
    return delta;
  }

  [Symbol.dispose](): void {
    this.#parts.parser?.[Symbol.dispose]();
  }
}

/** A long answer may have thousands of calls, and as many events at once would be more than a reader's queue takes. */
function joinDeltas(deltas: Delta[]): Delta[] {
  if (deltas.length < 2) return deltas;
  const joined: Delta = { type: "delta" };
  const calls = deltas.flatMap(({ toolCalls }) => toolCalls ?? []);
  for (const { text, reasoning } of deltas) {
    if (text !== undefined) joined.text = (joined.text ?? "") + text;
    if (reasoning !== undefined) joined.reasoning = (joined.reasoning ?? "") + reasoning;
  }
  return [calls.length === 0 ? joined : { ...joined, toolCalls: calls }];
}
