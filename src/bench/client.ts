// A client of any OpenAI-compatible server that notes when each chunk arrives. Plain fetch; the only part of the
// benchmark that talks HTTP. Answers are greedy and run to their limit: a random model ends nowhere in particular.

import { readSseData } from "../lib/sse-reader.ts";
import { AppError } from "../protocol/errors.ts";
import type { StreamRecord } from "./timing.ts";

export interface Target {
  /** Without a trailing slash. */
  url: string;
  apiKey: string | null;
  model: string;
}

export interface ChatTurn {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface Question {
  /** A text goes to /v1/completions, turns to /v1/chat/completions. */
  prompt: string | readonly ChatTurn[];
  maxTokens: number;
}

/** A prompt of 32,000 tokens takes a quarter of an hour on two cores, and may wait behind others. */
const REQUEST_MS_MAX = 30 * 60_000;

/** Parts of chunks and of whole answers that are read here; everything may be absent. */
interface Answer {
  error?: { message?: string };
  choices?: { text?: string; delta?: { content?: string | null; reasoning_content?: string | null } }[];
  usage?: {
    prompt_tokens?: number;
    completion_tokens?: number;
    prompt_tokens_details?: { cached_tokens?: number } | null;
  } | null;
  /** llama.cpp's own field. */
  timings?: { prompt_n?: number };
}

/** The model asked for, else the server's default one, else its first. */
export async function resolveTarget(url: string, model: string | null, apiKey: string | null): Promise<Target> {
  const base = { url: url.replace(/\/+$/, "").replace(/\/v1$/, ""), apiKey };
  if (model !== null) return { ...base, model };
  const response = await send(base, "/v1/models", null, null);
  const { data } = (await response.json()) as { data?: { id?: string; default?: boolean }[] };
  const chosen = data?.find((entry) => entry.default === true) ?? data?.[0];
  if (chosen?.id === undefined) {
    throw new AppError({ code: "model_not_found", message: `${url} lists no model`, hint: "Name one with --model." });
  }
  return { ...base, model: chosen.id };
}

/** Called at each chunk with text, with the number of those so far. */
export type OnChunk = (count: number) => void;

/**
 * One streamed answer to its end. When `signal` aborts it, what came until then is the record. Throws `AppError` when the
 * server refuses, breaks off, or reports an error within the stream.
 */
export async function stream(
  target: Target,
  question: Question,
  signal: AbortSignal | null = null,
  onChunk: OnChunk = () => undefined,
): Promise<StreamRecord> {
  const sentMs = performance.now();
  const arrivalsMs: number[] = [];
  const counts = { promptTokens: null, completionTokens: null, evaluatedTokens: null };
  const record = { sentMs, arrivalsMs, endMs: sentMs, text: "", ...counts };
  let ended = false;
  try {
    const response = await ask(target, question, true, signal);
    for await (const data of readSseData(response.body as ReadableStream<Uint8Array>)) {
      if (data === "[DONE]") {
        ended = true;
        break;
      }
      const answer = JSON.parse(data) as Answer;
      if (answer.error !== undefined) throw broken(target, answer.error.message ?? "an error within the stream");
      const text = textOf(answer);
      if (text !== "") {
        record.text += text;
        onChunk(arrivalsMs.push(performance.now()));
      }
      Object.assign(record, readCounts(answer));
    }
  } catch (thrown) {
    if (signal?.aborted !== true) throw thrown;
    ended = true;
  }
  if (!ended && signal?.aborted !== true) throw broken(target, "the stream broke off");
  record.endMs = performance.now();
  return record;
}

/** One answer in one piece; only its end is known. Over kept connections, as clients that ask often do. */
export async function complete(target: Target, question: Question): Promise<void> {
  const response = await ask(target, question, false, null).catch((thrown: unknown) => {
    // A server may close a kept connection just when it is used again: clients then ask once more.
    if (!(thrown instanceof AppError) || !isReset(thrown.cause)) throw thrown;
    return ask(target, question, false, null);
  });
  const answer = (await response.json()) as Answer;
  if (answer.choices?.[0] === undefined) throw broken(target, answer.error?.message ?? "an answer without a choice");
}

function textOf(answer: Answer): string {
  const choice = answer.choices?.[0];
  return (choice?.text ?? "") + (choice?.delta?.reasoning_content ?? "") + (choice?.delta?.content ?? "");
}

function readCounts(answer: Answer): Partial<StreamRecord> {
  const found: { -readonly [K in keyof StreamRecord]?: StreamRecord[K] } = {};
  const { prompt_tokens: prompt, completion_tokens: completion } = answer.usage ?? {};
  if (prompt !== undefined) found.promptTokens = prompt;
  if (completion !== undefined) found.completionTokens = completion;
  const cached = answer.usage?.prompt_tokens_details?.cached_tokens;
  if (prompt !== undefined && cached !== undefined) found.evaluatedTokens = prompt - cached;
  else if (answer.timings?.prompt_n !== undefined) found.evaluatedTokens = answer.timings.prompt_n;
  return found;
}

async function ask(target: Target, { prompt, maxTokens }: Question, streamed: boolean, signal: AbortSignal | null) {
  const isText = typeof prompt === "string";
  const body = {
    model: target.model,
    ...(isText ? { prompt } : { messages: prompt }),
    max_tokens: maxTokens,
    temperature: 0,
    ignore_eos: true,
    ...(streamed ? { stream: true, stream_options: { include_usage: true } } : {}),
  };
  return await send(target, isText ? "/v1/completions" : "/v1/chat/completions", body, signal);
}

async function send(
  { url, apiKey }: Omit<Target, "model">,
  path: string,
  body: object | null,
  signal: AbortSignal | null,
): Promise<Response> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (apiKey !== null) headers.authorization = `Bearer ${apiKey}`;
  const limit = AbortSignal.timeout(REQUEST_MS_MAX);
  const isStream = body !== null && "stream" in body;
  const options = {
    method: body === null ? "GET" : "POST",
    headers,
    ...(body === null ? {} : { body: JSON.stringify(body) }),
    signal: signal === null ? limit : AbortSignal.any([signal, limit]),
    // Bun's own limit of five minutes without a byte is shorter than a long prompt may take.
    timeout: false,
    // A stream has a connection of its own: a kept one that the server has just closed would look like its failure.
    keepalive: !isStream,
  };
  const response = await fetch(`${url}${path}`, options).catch((thrown: unknown) => {
    throw broken({ url }, thrown instanceof Error ? thrown.message : String(thrown), thrown);
  });
  if (response.ok && response.body !== null) return response;
  throw broken({ url }, `${response.status}: ${(await response.text()).slice(0, 300)}`);
}

function isReset(cause: unknown): boolean {
  return cause instanceof Error && "code" in cause && cause.code === "ECONNRESET";
}

function broken({ url }: { url: string }, what: string, cause?: unknown): AppError {
  const body = { code: "internal", message: `${url}: ${what}`, hint: "The server under test failed." } as const;
  return new AppError(body, { cause });
}
