// One request for text over HTTP, the same for every dialect: start its generations, one per choice, then collect
// whole answers or stream. Knows no dialect: what goes on the wire comes from the caller's encoder.

import { assert } from "../lib/assert.ts";
import { AppError, toAppError } from "../protocol/errors.ts";
import type { FinishReason, GenerationRequest, TokenScore, ToolCallDelta } from "../protocol/generation.ts";
import type { Generation } from "../router/inference.ts";
import { CACHE_HEADER, formatCacheHeader } from "./cache-report.ts";
import { type Ending, sum, sumCaches, sumEndings } from "./ending.ts";
import { EventReader } from "./event-reader.ts";
import { streamFrames } from "./frame-stream.ts";
import type { ChoiceEvent } from "./merge-events.ts";
import { type ApiContext, streamOptions } from "./options.ts";
import { formatRelaxedHeader, OutputWatch, RELAXED_HEADER } from "./output-warnings.ts";
import { RequestScope, untilAborted } from "./request-scope.ts";
import { frameEvents, type StreamEncoder, wireOf } from "./sse.ts";
import { streamKept } from "./streams/kept-streams.ts";
import { readResume } from "./streams/resume.ts";
import { type OutputContract, settleContract } from "./structured-output.ts";
import { formatTruncation, startTruncated, TRUNCATED_HEADER, type Truncation } from "./truncation.ts";

/** A finished generation in one piece. */
export interface Answer extends Ending {
  text: string;
  reasoning: string;
  toolCalls: { id: string | null; name: string; arguments: string }[];
  /** Log probabilities of the text's tokens, where they were asked for. */
  scores: TokenScore[];
  finishReason: FinishReason;
  /** What ended the text: one of the request's, or of the model's own format. */
  stopString?: string;
}

export interface AnswerFormat {
  /** The answers are in the order of the choices; `total` speaks for them all. */
  encodeWhole(answers: Answer[], total: Ending): object;
  createStream(): StreamEncoder;
}

/**
 * Log probabilities of an answer in one piece, of all choices, a token and its alternatives each one. They are held
 * until the last one has come, at about 150 bytes: 128k tokens with five alternatives fit, in 150 MB. A stream holds none.
 */
const LOGPROBS_MAX = 2 ** 20;

/** What is known before any text: of all prompts together. */
export type Accepted = Pick<Generation, "model" | "promptTokens" | "cache">;

export interface GenerationCall {
  /** The name as the client sent it; absent for the default model. */
  model: string | undefined;
  /** One per choice: all of the first prompt, then all of the second. At least one. */
  generations: GenerationRequest[];
  choicesPerPrompt: number;
  stream: boolean;
  /** What the answers are checked against; absent or null: nothing. */
  contract?: OutputContract | null;
  /** Of one conversation that is too long the oldest turns are left out. */
  truncates?: boolean;
  /** Called once the prompts are accepted, when the model's real id is known. */
  chooseFormat: (accepted: Accepted) => AnswerFormat;
}

/** Runs the call to its response. A refusal before the first byte is thrown, so it gets its HTTP status. */
export async function answerGeneration(api: ApiContext, request: Request, call: GenerationCall): Promise<Response> {
  // Read in any case: a value that says nothing is a mistake, also where it would not matter.
  const resume = readResume(request.headers);
  const keepSeconds = call.stream ? resume : null;
  if (keepSeconds !== null) api.streams.assertRoom();
  const scope = new RequestScope(request.signal, api.options.requestTimeoutMs, api.clock);
  // At once: the engine then reads a prompt for one of its choices, and the others wait for that and share it.
  const generations = call.stream ? call.generations : call.generations.map(toWhole);
  const truncating =
    call.truncates === true ? startTruncated(api.inference, call.model, generations, scope.signal) : null;
  const starts =
    truncating?.starts ?? generations.map((generation) => api.inference.generate(call.model, generation, scope.signal));
  const sources = starts.map(async (start) => (await start).events);
  const reader = new EventReader(sources, scope, api.log);
  const { accepted, contract } = await startWithin(scope, async () => {
    const accepted = await acceptPrompts(starts, call.choicesPerPrompt);
    return { accepted, contract: settleFor(accepted.model, call.contract ?? null) };
  });
  const truncation = (await truncating?.first)?.truncation ?? null;
  const output = contract === null ? null : new OutputWatch(contract);
  const watch = output === null ? undefined : ({ choice, event }: ChoiceEvent) => output.note(choice, event);
  const sumUp = (endings: readonly Ending[]): Ending => {
    const total = sumEndings(endings, call.choicesPerPrompt);
    return {
      ...total,
      ...(output === null ? {} : { warnings: output.list() }),
      ...(truncation === null ? {} : { truncated: truncation }),
    };
  };
  const headers = describeChanges(contract, truncation);
  const format = call.chooseFormat(accepted);
  if (!call.stream) {
    const answers = await collectAnswers(reader, call.generations.length, watch);
    const total = sumUp(answers);
    // Exact: what was expected of the cache when the prompt was accepted may have changed in the queue.
    headers[CACHE_HEADER] = formatCacheHeader(total.cache, total.usage.promptTokens);
    return Response.json(format.encodeWhole(answers, total), { headers });
  }
  const encoder = format.createStream();
  const source = frameEvents(reader, encoder, { sumUp, watch });
  const response =
    keepSeconds === null
      ? streamFrames(source, streamOptions(api))
      : streamKept(api, source, wireOf(encoder), keepSeconds, scope);
  headers[CACHE_HEADER] = formatCacheHeader(accepted.cache, accepted.promptTokens);
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
  return response;
}

/** Nobody reads along. */
function toWhole(generation: GenerationRequest, _: number, { length }: readonly unknown[]): GenerationRequest {
  if (generation.logprobs === undefined) return { ...generation, whole: true };
  return { ...generation, whole: true, logprobsMax: Math.floor(LOGPROBS_MAX / length) };
}

/** What the model that took the prompt keeps of it. Throws for what `strict` asks for and it does not. */
export function settleFor({ info }: Generation["model"], contract: OutputContract | null): OutputContract | null {
  return contract === null ? null : settleContract(contract, info?.argumentFormat ?? null);
}

/** What does not go as the request has it, as headers. */
export function describeChanges(
  contract: OutputContract | null,
  truncation: Truncation | null,
): Record<string, string> {
  const relaxed = contract === null ? null : formatRelaxedHeader(contract);
  return {
    ...(relaxed === null ? {} : { [RELAXED_HEADER]: relaxed }),
    ...(truncation === null ? {} : { [TRUNCATED_HEADER]: formatTruncation(truncation) }),
  };
}

/** Awaits inference within the request's life; when that fails, all that was begun for the request ends. */
export async function startWithin<T>(scope: RequestScope, start: () => Promise<T>): Promise<T> {
  try {
    return await untilAborted(start(), scope.signal);
  } catch (thrown) {
    const error = scope.failure ?? toAppError(thrown);
    scope.abort(error);
    throw error;
  }
}

/**
 * Resolves once one choice of each prompt is accepted: the one that will read it. The others may have to wait for a
 * place until this one ends, which it can't while nobody reads it.
 */
async function acceptPrompts(starts: readonly Promise<Generation>[], choicesPerPrompt: number): Promise<Accepted> {
  const prompts: Promise<Generation>[] = [];
  for (let at = 0; at < starts.length; at += choicesPerPrompt) {
    prompts.push(Promise.race(starts.slice(at, at + choicesPerPrompt)));
  }
  const accepted = await Promise.all(prompts);
  const [first] = accepted;
  assert(first !== undefined, "a call has at least one generation");
  const caches = accepted.flatMap(({ cache }) => cache ?? []);
  return {
    model: first.model,
    promptTokens: sum(accepted.map(({ promptTokens }) => promptTokens)),
    cache: caches.length === accepted.length ? sumCaches(caches) : null,
  };
}

async function collectAnswers(
  reader: EventReader,
  choices: number,
  watch?: (item: ChoiceEvent) => void,
): Promise<Answer[]> {
  const drafts = Array.from({ length: choices }, () => createDraft());
  const answers: Answer[] = [];
  for (;;) {
    const item = await reader.next();
    if (item === null) return answers;
    watch?.(item);
    const { choice, event } = item;
    const draft = drafts[choice];
    assert(draft !== undefined, "events belong to a choice of the request");
    switch (event.type) {
      case "started":
      case "progress":
        break;
      case "delta":
        draft.text += event.text ?? "";
        draft.reasoning += event.reasoning ?? "";
        for (const delta of event.toolCalls ?? []) addToolCall(draft.toolCalls, delta);
        for (const score of event.scores ?? []) draft.scores.push(score);
        break;
      case "error":
        throw new AppError(event.error);
      case "cancelled":
        throw new AppError({ code: "cancelled", message: "the generation was cancelled" });
      case "done": {
        const { type: _, ...ending } = event;
        answers[choice] = { ...draft, ...ending };
      }
    }
  }
}

function createDraft(): Pick<Answer, "text" | "reasoning" | "toolCalls" | "scores"> {
  return { text: "", reasoning: "", toolCalls: [], scores: [] };
}

type ToolCalls = Answer["toolCalls"];

function addToolCall(calls: ToolCalls, delta: ToolCallDelta): void {
  let call = calls[delta.index];
  if (call === undefined) {
    call = { id: null, name: "", arguments: "" };
    calls[delta.index] = call;
  }
  if (delta.id !== undefined) call.id = delta.id;
  call.name += delta.name ?? "";
  call.arguments += delta.arguments ?? "";
}
