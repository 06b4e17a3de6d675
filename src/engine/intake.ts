// Requests on their way in: the prompt is rendered and tokenised beside the engine's thread, then checked.

import { AppError, toAppError } from "../protocol/errors.ts";
import type { GenerationEvent, GenerationRequest } from "../protocol/generation.ts";
import type { LoadedModelInfo } from "../protocol/model-info.ts";
import { AbandonedTasks } from "./abandoned-tasks.ts";
import { Answer } from "./answer/answer.ts";
import { Detokenizer, type TokenTexts } from "./answer/detokenizer.ts";
import { Scores } from "./answer/scores.ts";
import { StopMatcher } from "./answer/stop-matcher.ts";
import type { Backend, PreparedPrompt, Task } from "./backend.ts";
import type { AdapterSets } from "./schedule/adapter-sets.ts";
import { Sequence } from "./sequence.ts";

/** Prompts prepared at once: each takes a thread, and the engine's own threads need the cores. */
const TASKS_MAX = 4;

interface Entry {
  id: number;
  request: GenerationRequest;
  arrival: number;
  receivedMs: number;
  task: Task<PreparedPrompt> | null;
  /** Its reader is behind already; so it was when it comes out. */
  paused: boolean;
}

export type Arrival =
  | { kind: "ready"; sequence: Sequence }
  | { kind: "refused"; id: number; error: AppError }
  /** Its prompt was only to be counted: these are all its events. */
  | { kind: "counted"; id: number; events: GenerationEvent[] }
  | { kind: "none" };

export class Intake {
  readonly #backend: Backend;
  readonly #texts: TokenTexts;
  readonly #sets: AdapterSets;
  readonly #entries: Entry[] = [];
  readonly #abandoned = new AbandonedTasks();
  readonly #shifts: boolean;
  #arrivals = 0;

  /** `shifts`: what a full context does where a request does not say it. */
  constructor(backend: Backend, texts: TokenTexts, sets: AdapterSets, shifts = false) {
    this.#backend = backend;
    this.#texts = texts;
    this.#sets = sets;
    this.#shifts = shifts;
  }

  get size(): number {
    return this.#entries.length;
  }

  add(id: number, request: GenerationRequest, receivedMs: number): void {
    this.#entries.push({ id, request, arrival: this.#arrivals++, receivedMs, task: null, paused: false });
  }

  /** True when the request was still here. */
  cancel(id: number): boolean {
    const at = this.#entries.findIndex((entry) => entry.id === id);
    if (at < 0) return false;
    this.#abandoned.add(this.#entries.splice(at, 1)[0]?.task ?? null);
    return true;
  }

  /** True when the request was still here. */
  setPaused(id: number, paused: boolean): boolean {
    const entry = this.#entries.find((candidate) => candidate.id === id);
    if (entry !== undefined) entry.paused = paused;
    return entry !== undefined;
  }

  /** A request whose prompt is ready or refused. A long prompt does not keep the short ones behind it from coming in. */
  next(): Arrival {
    this.#abandoned.sweep();
    for (const entry of this.#entries.slice(0, TASKS_MAX)) {
      try {
        const { prompt, sampling, countOnly = false } = entry.request;
        entry.task ??= this.#backend.preparePrompt(prompt, countOnly ? null : sampling);
        const state = entry.task.poll();
        if (state.kind === "running") continue;
        if (state.kind === "failed") throw state.error;
        if (countOnly) {
          using counted = entry.task.take();
          this.#remove(entry);
          return { kind: "counted", id: entry.id, events: countEvents(counted.tokens.length) };
        }
        const sequence = this.#build(entry, entry.task.take());
        sequence.paused = entry.paused;
        this.#remove(entry);
        return { kind: "ready", sequence };
      } catch (thrown) {
        this.#remove(entry);
        return { kind: "refused", id: entry.id, error: toRefusal(thrown, entry.request) };
      }
    }
    return { kind: "none" };
  }

  #build(entry: Entry, prompt: PreparedPrompt): Sequence {
    // Whatever is refused half-way leaves no native object behind.
    using made = new DisposableStack();
    made.use(prompt);
    const limit = this.#backend.info.sequenceContextLength;
    checkLength(prompt.tokens.length, limit);
    const set = this.#sets.resolve(entry.request.lora);
    const sampler = made.use(this.#backend.makeSampler(entry.request.sampling, prompt));
    const answer = new Answer({
      detokenizer: new Detokenizer(this.#texts, prompt.preserved),
      stops: new StopMatcher([...entry.request.stop, ...prompt.stops]),
      parser: prompt.needsParser ? this.#backend.makeParser(prompt) : null,
      // Scores come with their text, and are many times as long: all at once they might not fit into one message.
      whole: entry.request.whole === true && entry.request.logprobs === undefined,
    });
    const echo = entry.request.echo === true ? echoOf(entry.request, prompt, this.#texts) : "";
    const scores = makeScores(entry.request, prompt, echo, this.#texts);
    // From here on the sequence owns them.
    made.move();
    const limits = { contextLength: limit, receivedMs: entry.receivedMs, shifts: this.#shifts };
    const parts = { prompt, sampler, answer, set, scores, echo };
    return new Sequence(entry.id, entry.arrival, entry.request, parts, limits);
  }

  #remove(entry: Entry): void {
    entry.task?.[Symbol.dispose]();
    this.#entries.splice(this.#entries.indexOf(entry), 1);
  }

  [Symbol.dispose](): void {
    this.#abandoned[Symbol.dispose]();
    for (const entry of this.#entries.splice(0)) entry.task?.[Symbol.dispose]();
  }
}

/** A sequence's events, without a sequence. */
function countEvents(promptTokens: number): GenerationEvent[] {
  const cache = { live: 0, retained: 0, disk: 0 };
  const usage = { promptTokens, completionTokens: 0, cachedTokens: 0 };
  const timings = { queuedMs: 0, promptMs: 0, decodeMs: 0 };
  return [
    { type: "started", promptTokens, cache },
    { type: "done", finishReason: "length", usage, cache, timings },
  ];
}

/** The prompt as it was sent; one of tokens as text, without control tokens. */
function echoOf({ prompt }: GenerationRequest, { tokens }: PreparedPrompt, texts: TokenTexts): string {
  if (prompt.kind === "text") return prompt.text;
  const decoder = new Detokenizer(texts, new Set());
  return Array.from(tokens, (token) => decoder.push(token)).join("") + decoder.flush();
}

function makeScores(request: GenerationRequest, { tokens }: PreparedPrompt, echo: string, texts: TokenTexts) {
  if (request.logprobs === undefined) return null;
  const prompt = request.echo === true ? { tokens, text: echo } : null;
  return new Scores(texts, { top: request.logprobs, prompt, most: request.logprobsMax ?? Number.POSITIVE_INFINITY });
}

export function cannotGenerate({ description, pooling }: LoadedModelInfo): AppError {
  const [what, route] = pooling === "rank" ? ["ranks", "/v1/rerank"] : ["embeds", "/v1/embeddings"];
  const message = `${description} only ${what}: it can't generate.`;
  return new AppError({ code: "not_supported", message, hint: `Use ${route}.` });
}

/** A prompt never loses tokens in silence: what does not fit is refused, with both numbers. */
export function checkLength(tokens: number, limit: number): void {
  if (tokens === 0) throw new AppError({ code: "invalid_request", message: "The prompt is empty.", param: "prompt" });
  if (tokens < limit) return;
  throw new AppError({
    code: "context_length_exceeded",
    message: `The prompt has ${tokens} tokens and the context holds ${limit}, of which one at least is for the answer.`,
    tokens: { prompt: tokens, context: limit },
  });
}

/** What a template, a tokenizer or a sampler refuses is the request's fault. */
function toRefusal(thrown: unknown, request: GenerationRequest): AppError {
  if (thrown instanceof AppError) return thrown;
  const { message } = toAppError(thrown);
  const param = nameField(message, request);
  const why = message.trim().replace(/\s*\n\s*/g, "; ");
  const said = param === null ? { message: why } : { message: `\`${param}\` can't be used: ${why}`, param };
  return new AppError({ code: "invalid_request", ...said }, { cause: thrown });
}

/** llama.cpp has no kinds of errors: the field at fault is known by the words. */
function nameField(message: string, { prompt, sampling }: GenerationRequest): string | null {
  if (prompt.kind === "tokens" && message.includes("is not in the vocabulary")) return "prompt";
  if (prompt.kind === "chat" && prompt.continues !== undefined && message.startsWith("the chat template"))
    return "messages";
  if (sampling.logitBias !== undefined && message.startsWith("logit_bias")) return "logit_bias";
  // Grammars that are made of schemas are not the request's own words.
  return sampling.grammar !== undefined && message.includes("grammar") ? "grammar" : null;
}
