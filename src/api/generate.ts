// One generation over HTTP, the same for every dialect: start it, then collect a whole answer or stream.
// Knows no dialect: what goes on the wire comes from the caller's encoder.

import { AppError, toAppError } from "../protocol/errors.ts";
import type {
  CacheReport,
  FinishReason,
  GenerationRequest,
  Timings,
  ToolCallDelta,
  Usage,
} from "../protocol/generation.ts";
import type { Generation } from "../router/inference.ts";
import { CACHE_HEADER, formatCacheHeader } from "./cache-report.ts";
import { EventReader } from "./event-reader.ts";
import type { ApiContext } from "./options.ts";
import { RequestScope, untilAborted } from "./request-scope.ts";
import { type StreamEncoder, streamEvents } from "./sse.ts";

/** A finished generation in one piece. */
export interface Answer {
  text: string;
  reasoning: string;
  toolCalls: { id: string | null; name: string; arguments: string }[];
  finishReason: FinishReason;
  usage: Usage;
  cache: CacheReport;
  timings: Timings;
}

export interface AnswerFormat {
  encodeWhole(answer: Answer): object;
  createStream(): StreamEncoder;
}

export interface GenerationCall {
  /** The name as the client sent it; absent for the default model. */
  model: string | undefined;
  generation: GenerationRequest;
  stream: boolean;
  /** Called once the prompt is accepted, when the model's real id is known. */
  chooseFormat: (generation: Generation) => AnswerFormat;
}

/** Runs the call to its response. A refusal before the first byte is thrown, so it gets its HTTP status. */
export async function answerGeneration(api: ApiContext, request: Request, call: GenerationCall): Promise<Response> {
  const scope = new RequestScope(request.signal, api.options.requestTimeoutMs, api.clock);
  const generation = await startWithin(scope, () => api.inference.generate(call.model, call.generation, scope.signal));
  const reader = new EventReader(generation.events, scope, api.log);
  const format = call.chooseFormat(generation);
  if (!call.stream) {
    const answer = await collectAnswer(reader);
    // Exact: what was expected of the cache when the prompt was accepted may have changed in the queue.
    const headers = { [CACHE_HEADER]: formatCacheHeader(answer.cache, answer.usage.promptTokens) };
    return Response.json(format.encodeWhole(answer), { headers });
  }
  const response = streamEvents(reader, format.createStream(), {
    keepAliveMs: api.options.keepAliveMs,
    stallMs: api.options.streamStallMs,
    clock: api.clock,
  });
  response.headers.set(CACHE_HEADER, formatCacheHeader(generation.cache, generation.promptTokens));
  return response;
}

/** Awaits inference within the request's life; closes the scope when that fails. */
export async function startWithin<T>(scope: RequestScope, start: () => Promise<T>): Promise<T> {
  try {
    return await untilAborted(start(), scope.signal);
  } catch (thrown) {
    scope.close();
    throw scope.failure ?? toAppError(thrown);
  }
}

async function collectAnswer(reader: EventReader): Promise<Answer> {
  const parts = { text: "", reasoning: "", toolCalls: [] as Answer["toolCalls"] };
  for (;;) {
    const event = await reader.next();
    if (event === null) throw new AppError({ code: "internal", message: "the generation gave no result" });
    switch (event.type) {
      case "started":
        break;
      case "delta":
        parts.text += event.text ?? "";
        parts.reasoning += event.reasoning ?? "";
        for (const delta of event.toolCalls ?? []) addToolCall(parts.toolCalls, delta);
        break;
      case "error":
        throw new AppError(event.error);
      case "cancelled":
        throw new AppError({ code: "cancelled", message: "the generation was cancelled" });
      case "done": {
        const { finishReason, usage, cache, timings } = event;
        return { ...parts, finishReason, usage, cache, timings };
      }
    }
  }
}

function addToolCall(calls: Answer["toolCalls"], delta: ToolCallDelta): void {
  let call = calls[delta.index];
  if (call === undefined) {
    call = { id: null, name: "", arguments: "" };
    calls[delta.index] = call;
  }
  if (delta.id !== undefined) call.id = delta.id;
  call.name += delta.name ?? "";
  call.arguments += delta.arguments ?? "";
}
