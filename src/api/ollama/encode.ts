// Domain → Ollama's answers: whole, or as lines of JSON. Pure but for the clock that it is given. A tool call goes out in
// one piece, since its arguments are an object here; one that was cut off by the limit is left out.

import type { TokenScore, ToolCallDelta } from "../../protocol/generation.ts";
import { encodeMlo } from "../cache-report.ts";
import type { Ending } from "../ending.ts";
import type { Answer } from "../generate.ts";
import { encodeChatLogprobs } from "../openai/encode-logprobs.ts";
import type { StreamEncoder } from "../sse.ts";
import type { StreamWire } from "../stream-wire.ts";
import { encodeOllamaError } from "./errors.ts";
import type { OllamaChatReply, OllamaGenerateReply, ToolCallReply } from "./reply-schema.ts";

const WIRE: StreamWire = {
  contentType: "application/x-ndjson",
  // White space before a line's JSON: every parser takes it, and an empty line some do not.
  keepAlive: " ",
  end: "",
  encodeFrame: (line) => `${JSON.stringify(line)}\n`,
  encodeError: encodeOllamaError,
};

/** What every line of an answer repeats, and what its last one says of time. */
export interface LineHead {
  model: string;
  /** RFC 3339. */
  now(): string;
  /** Since the request came. */
  totalMs(): number;
  /** 0 when the model was there. */
  loadMs: number;
  /** Ids of tool calls begin with it. */
  id: string;
}

export interface Piece {
  text?: string | undefined;
  reasoning?: string | undefined;
  calls?: ToolCallReply[];
}

type Line = OllamaChatReply | OllamaGenerateReply;
/** Chat and generate differ in where the text stands. */
export type Shape = (
  piece: Piece,
) => Pick<OllamaChatReply, "message"> | Omit<OllamaGenerateReply, keyof OllamaChatReply>;

export const shapeChat: Shape = ({ text = "", reasoning = "", calls = [] }) => ({
  message: {
    role: "assistant",
    content: text,
    ...(reasoning === "" ? {} : { thinking: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  },
});

export const shapeGenerate: Shape = ({ text = "", reasoning = "" }) => ({
  response: text,
  ...(reasoning === "" ? {} : { thinking: reasoning }),
});

export function encodeAnswer(head: LineHead, shape: Shape, answer: Answer, total: Ending): Line {
  const calls = answer.toolCalls.flatMap((call, index) => encodeCall(head, index, call) ?? []);
  const { text, reasoning, finishReason, scores } = answer;
  return encodeLast(head, shape({ text, reasoning, calls }), finishReason, total, scores);
}

/** The answer to a request that only loads or unloads. */
export function encodeLoad(head: LineHead, shape: Shape, reason: "load" | "unload"): Line {
  return { ...line(head, shape({})), done: true, done_reason: reason };
}

export function createLines(head: LineHead, shape: Shape): StreamEncoder {
  const calls: Required<Pick<Answer, "toolCalls">>["toolCalls"] = [];
  let sent = 0;
  /** Those below `end` are complete. */
  const takeCalls = (end: number): Line[] => {
    const ready = calls.slice(sent, end).flatMap((call, at) => encodeCall(head, sent + at, call) ?? []);
    sent = Math.max(sent, end);
    return ready.length === 0 ? [] : [{ ...line(head, shape({ calls: ready })), done: false }];
  };
  return {
    wire: WIRE,
    open: () => [],
    encode(_choice, event, total) {
      if (event.type === "started" || event.type === "progress") return [];
      if (event.type === "delta") {
        const { text, reasoning, toolCalls = [], scores = [] } = event;
        for (const delta of toolCalls) addCall(calls, delta);
        const lines = takeCalls(calls.length - 1);
        if ((text ?? "") === "" && (reasoning ?? "") === "" && scores.length === 0) return lines;
        return [...lines, { ...line(head, shape({ text, reasoning }), scores), done: false }];
      }
      const lines = takeCalls(calls.length);
      return total === null ? lines : [...lines, encodeLast(head, shape({}), event.finishReason, total)];
    },
  };
}

function line(head: LineHead, content: ReturnType<Shape>, scores: readonly TokenScore[] = []): Line {
  const scored = encodeChatLogprobs(scores, scores.length > 0);
  const logprobs = scored === null ? {} : { logprobs: scored.content };
  return { model: head.model, created_at: head.now(), ...content, ...logprobs } as Line;
}

function encodeLast(
  head: LineHead,
  content: ReturnType<Shape>,
  reason: Answer["finishReason"],
  total: Ending,
  scores: readonly TokenScore[] = [],
): Line {
  const { usage, timings } = total;
  return {
    ...line(head, content, scores),
    done: true,
    done_reason: reason === "length" ? "length" : "stop",
    total_duration: toNanoseconds(head.totalMs()),
    load_duration: toNanoseconds(head.loadMs),
    prompt_eval_count: usage.promptTokens,
    prompt_eval_duration: toNanoseconds(timings.promptMs),
    eval_count: usage.completionTokens,
    eval_duration: toNanoseconds(timings.decodeMs),
    mlo: encodeMlo(total),
  };
}

export function toNanoseconds(ms: number): number {
  return Math.round(ms * 1e6);
}

function addCall(calls: Answer["toolCalls"], delta: ToolCallDelta): void {
  const call = calls[delta.index] ?? { id: null, name: "", arguments: "" };
  calls[delta.index] = {
    id: delta.id ?? call.id,
    name: call.name + (delta.name ?? ""),
    arguments: call.arguments + (delta.arguments ?? ""),
  };
}

/** Null: the arguments are no JSON object, because the answer ended within them. */
function encodeCall(
  head: LineHead,
  index: number,
  call: Answer["toolCalls"][number] | undefined,
): ToolCallReply | null {
  if (call === undefined) return null;
  let parsed: unknown;
  try {
    parsed = JSON.parse(call.arguments === "" ? "{}" : call.arguments);
  } catch (_cut) {
    // What `done_reason` says is the reason.
    return null;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return null;
  const args = parsed as Record<string, unknown>;
  return { id: call.id ?? `${head.id}_${index}`, function: { index, name: call.name, arguments: args } };
}
