// A client of /v1/chat/completions for `run`: one streamed answer at a time, over plain fetch, so that
// the terminal goes the same way as every other client.

import { readSseData } from "../lib/sse-reader.ts";
import { AppError, ERROR_KINDS, type ErrorCode } from "../protocol/errors.ts";

export interface ChatTurn {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface ChatCall {
  /** Without a trailing slash. */
  baseUrl: string;
  apiKey: string | null;
  model: string;
  messages: readonly ChatTurn[];
  maxTokens: number | null;
  temperature: number | null;
}

export interface ChatUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

export type ChatPiece =
  | { type: "text"; text: string }
  | { type: "reasoning"; text: string }
  | { type: "finish"; reason: string }
  | { type: "usage"; usage: ChatUsage };

/** The parts of a chunk that are read here; everything may be absent. */
interface Chunk {
  error?: { message?: string; code?: string | null; hint?: string };
  choices?: { delta?: { content?: string | null; reasoning_content?: string | null }; finish_reason?: string | null }[];
  usage?: ChatUsage | null;
}

/** Throws `AppError` with the server's own message; when aborted it just ends. */
export async function* streamChat(call: ChatCall, signal: AbortSignal): AsyncGenerator<ChatPiece> {
  const response = await send(call, signal);
  if (response === null) return;
  if (!response.ok || response.body === null) throw await toError(response);
  try {
    for await (const data of readSseData(response.body)) {
      if (data === "[DONE]") return;
      yield* readChunk(JSON.parse(data) as Chunk);
    }
  } catch (thrown) {
    if (signal.aborted) return;
    throw thrown;
  }
  if (!signal.aborted) throw new AppError({ code: "engine_crashed", message: "the answer broke off" });
}

async function send(call: ChatCall, signal: AbortSignal): Promise<Response | null> {
  const body: Record<string, unknown> = {
    model: call.model,
    messages: call.messages,
    stream: true,
    stream_options: { include_usage: true },
  };
  if (call.maxTokens !== null) body.max_tokens = call.maxTokens;
  if (call.temperature !== null) body.temperature = call.temperature;
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (call.apiKey !== null) headers.authorization = `Bearer ${call.apiKey}`;
  const url = `${call.baseUrl}/v1/chat/completions`;
  try {
    return await fetch(url, { method: "POST", headers, body: JSON.stringify(body), signal });
  } catch (thrown) {
    if (signal.aborted) return null;
    const message = `${call.baseUrl} does not answer: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
    throw new AppError({ code: "internal", message, hint: "Is the server running there?" }, { cause: thrown });
  }
}

function* readChunk(chunk: Chunk): Generator<ChatPiece> {
  if (chunk.error !== undefined) throw fromEnvelope(chunk.error, "the server reported an error");
  const choice = chunk.choices?.[0];
  if (choice?.delta?.reasoning_content) yield { type: "reasoning", text: choice.delta.reasoning_content };
  if (choice?.delta?.content) yield { type: "text", text: choice.delta.content };
  if (choice?.finish_reason) yield { type: "finish", reason: choice.finish_reason };
  if (chunk.usage) yield { type: "usage", usage: chunk.usage };
}

async function toError(response: Response): Promise<AppError> {
  const text = await response.text();
  const fallback = `the server answered ${response.status} ${response.statusText}`;
  try {
    return fromEnvelope((JSON.parse(text) as Chunk).error ?? {}, fallback);
  } catch (_notJson) {
    return fromEnvelope({ message: `${fallback}: ${text.slice(0, 200)}` }, fallback);
  }
}

function fromEnvelope(error: NonNullable<Chunk["error"]>, fallback: string): AppError {
  const known = typeof error.code === "string" && Object.hasOwn(ERROR_KINDS, error.code);
  const code = known ? (error.code as ErrorCode) : "internal";
  const body = { code, message: error.message ?? fallback };
  return new AppError(error.hint === undefined ? body : { ...body, hint: error.hint });
}
