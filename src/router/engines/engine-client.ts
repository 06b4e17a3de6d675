// One engine from the server's side: requests by id, their events as bounded queues, and what to tell them all when
// the engine is gone. It decides nothing about starting engines.

import { assert } from "../../lib/assert.ts";
import { AsyncQueue } from "../../lib/async-queue.ts";
import { AppError } from "../../protocol/errors.ts";
import {
  type CacheReport,
  type EmbeddingInput,
  type EmbeddingResult,
  type GenerationEvent,
  type GenerationRequest,
  isTerminal,
} from "../../protocol/generation.ts";
import type { EngineLimits, Frame, FromEngine, ToEngine } from "../../protocol/messages.ts";
import type { CacheEntry, EngineStats } from "../../protocol/model-info.ts";
import { type TextAnswer, type TextQuestion, unpackTextAnswer } from "../../protocol/text-question.ts";

/** Events that one reader may leave unread before its sequence is paused. */
const UNREAD_EVENTS = 256;
/**
 * Log probabilities that weigh as much as an event: those of a prompt's rows may make one of 200 kB, and a request has 64
 * choices. So 8192 of them, or 1.2 MB, may be unread.
 */
const SCORES_OF_EVENT = 32;
/** Events that are on their way when the pause is sent. */
const UNREAD_EVENTS_MAX = 16 * UNREAD_EVENTS;

export interface Accepted {
  promptTokens: number;
  /** Null: the request still queues, so it is not known yet. */
  cache: CacheReport | null;
  events: AsyncIterable<GenerationEvent>;
}

interface OpenGeneration {
  kind: "generation";
  queue: AsyncQueue<GenerationEvent>;
  accepted: PromiseWithResolvers<Accepted>;
  started: boolean;
  /** Something of its answer went out. */
  answered: boolean;
  /** It may be told to go to another engine. */
  movable: boolean;
  paused: boolean;
  /** Its client's signal may live long after it. */
  stopListening: () => void;
}

interface OpenCall<T> {
  result: PromiseWithResolvers<T>;
}

/** Questions about the engine itself, and what answers each. */
type Answer<T extends "stats" | "cache" | "flushed"> = Extract<FromEngine, { type: T }>;

export class EngineClient {
  /** Called when the last open request has ended. */
  onIdle: () => void = () => {};
  readonly #send: (message: ToEngine) => void;
  readonly #generations = new Map<number, OpenGeneration>();
  /** Those with one answer. */
  readonly #calls = new Map<number, OpenCall<EmbeddingResult | TextAnswer>>();
  readonly #questions = new Map<number, OpenCall<Answer<"stats" | "cache" | "flushed">>>();
  #nextId = 1;
  #gone: AppError | null = null;

  constructor(send: (message: ToEngine) => void) {
    this.#send = send;
  }

  /** Requests that have not ended. */
  get openCount(): number {
    return this.#generations.size + this.#calls.size;
  }

  /** How many requests and questions it ever had. */
  get sentCount(): number {
    return this.#nextId - 1;
  }

  /** Resolves once the engine has accepted the prompt; rejects with its refusal. `movable`: see `giveBack`. */
  async generate(request: GenerationRequest, signal: AbortSignal, movable = false): Promise<Accepted> {
    if (signal.aborted) throw cancelled();
    const id = this.#open();
    const abort = (): void => this.#cancel(id);
    const entry: OpenGeneration = {
      kind: "generation",
      queue: new AsyncQueue<GenerationEvent>({
        highWater: UNREAD_EVENTS,
        weigh: weighEvent,
        sizeMax: UNREAD_EVENTS_MAX,
        onLow: () => this.#resume(id),
        onAbandon: () => this.#cancel(id),
      }),
      accepted: Promise.withResolvers<Accepted>(),
      started: false,
      answered: false,
      movable,
      paused: false,
      stopListening: () => signal.removeEventListener("abort", abort),
    };
    this.#generations.set(id, entry);
    signal.addEventListener("abort", abort, { once: true });
    try {
      this.#send({ type: "generate", id, request });
    } catch (thrown) {
      // A request that never left (it is over the frame's limit) is not open.
      this.#generations.delete(id);
      entry.stopListening();
      throw thrown;
    }
    return await entry.accepted.promise;
  }

  async embed(inputs: EmbeddingInput[], signal: AbortSignal): Promise<EmbeddingResult> {
    return (await this.#call((id) => ({ type: "embed", id, inputs }), signal)) as EmbeddingResult;
  }

  async tell(question: TextQuestion, signal: AbortSignal): Promise<TextAnswer> {
    return (await this.#call((id) => ({ type: "tell", id, question }), signal)) as TextAnswer;
  }

  async stats(): Promise<EngineStats> {
    return (await this.#ask<"stats">("stats")).stats;
  }

  async cache(): Promise<CacheEntry[]> {
    return (await this.#ask<"cache">("cache")).entries;
  }

  /** Resolves when the engine has written what a later one can start from. */
  async flush(): Promise<void> {
    await this.#ask<"flushed">("flush");
  }

  /** Ends movable requests that have no word of an answer yet with `model_loading`: they are for another engine. */
  giveBack(): void {
    const error = { code: "model_loading", message: "The model's engine ends, and another one answers." } as const;
    for (const [id, { answered, movable }] of [...this.#generations]) {
      if (answered || !movable) continue;
      this.#send({ type: "cancel", id });
      this.#deliver(id, { type: "error", error });
    }
  }

  /** What it may use from its next step on. An engine that is gone needs no limits. */
  adjust(limits: EngineLimits): void {
    if (this.#gone === null) this.#send({ type: "adjust", limits });
  }

  /** A message of the engine that belongs to a request. */
  receive({ message, payload }: Frame<FromEngine>): void {
    switch (message.type) {
      case "events":
        for (const [id, event] of message.events) this.#deliver(id, event);
        break;
      case "embeddings":
        this.#takeCall(message.id)?.result.resolve(readVectors(message, payload));
        break;
      case "told":
        this.#takeCall(message.id)?.result.resolve(unpackTextAnswer(message, payload));
        break;
      case "refused":
        this.#takeCall(message.id)?.result.reject(new AppError(message.error));
        break;
      case "stats":
      case "cache":
      case "flushed": {
        const call = this.#questions.get(message.id);
        this.#questions.delete(message.id);
        call?.result.resolve(message);
        break;
      }
      case "progress":
      case "ready":
      case "failed":
        break;
    }
  }

  /** The engine is gone: every request that is still open ends with this error. */
  fail(error: AppError): void {
    this.#gone = error;
    for (const id of [...this.#generations.keys()]) this.#deliver(id, { type: "error", error: error.toBody() });
    for (const calls of [this.#calls, this.#questions]) {
      for (const call of calls.values()) call.result.reject(error);
      calls.clear();
    }
  }

  async #call(message: (id: number) => ToEngine, signal: AbortSignal): Promise<EmbeddingResult | TextAnswer> {
    if (signal.aborted) throw cancelled();
    const id = this.#open();
    const call = { result: Promise.withResolvers<EmbeddingResult | TextAnswer>() };
    this.#calls.set(id, call);
    const abort = (): void => {
      if (!this.#calls.delete(id)) return;
      this.#send({ type: "cancel", id });
      call.result.reject(cancelled());
    };
    signal.addEventListener("abort", abort, { once: true });
    try {
      this.#send(message(id));
      return await call.result.promise;
    } finally {
      this.#calls.delete(id);
      signal.removeEventListener("abort", abort);
      this.#noticeIdle();
    }
  }

  #takeCall(id: number): OpenCall<EmbeddingResult | TextAnswer> | undefined {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    return call;
  }

  async #ask<T extends "stats" | "cache" | "flushed">(type: "stats" | "cache" | "flush"): Promise<Answer<T>> {
    const id = this.#open();
    const call = { result: Promise.withResolvers<Answer<"stats" | "cache" | "flushed">>() };
    this.#questions.set(id, call);
    this.#send({ type, id });
    return (await call.result.promise) as Answer<T>;
  }

  #noticeIdle(): void {
    if (this.openCount === 0) this.onIdle();
  }

  #open(): number {
    if (this.#gone !== null) throw this.#gone;
    return this.#nextId++;
  }

  #deliver(id: number, event: GenerationEvent): void {
    const entry = this.#generations.get(id);
    // A cancelled request is forgotten at once; what the engine still had to say of it is dropped.
    if (entry === undefined) return;
    if (event.type === "started") {
      assert(!entry.started, `request ${id} started twice`);
      entry.started = true;
      const { promptTokens, cache } = event;
      entry.accepted.resolve({ promptTokens, cache, events: entry.queue });
      return;
    }
    if (isTerminal(event)) {
      this.#generations.delete(id);
      entry.stopListening();
      this.#noticeIdle();
    }
    if (!entry.started) {
      entry.accepted.reject(event.type === "error" ? new AppError(event.error) : cancelled());
      return;
    }
    if (event.type === "delta") entry.answered = true;
    const behind = entry.queue.push(event);
    if (isTerminal(event)) entry.queue.end();
    else if (behind && !entry.paused) {
      entry.paused = true;
      this.#send({ type: "pause", id });
    }
  }

  #resume(id: number): void {
    const entry = this.#generations.get(id);
    if (entry === undefined || !entry.paused) return;
    entry.paused = false;
    this.#send({ type: "resume", id });
  }

  #cancel(id: number): void {
    if (!this.#generations.has(id)) return;
    this.#send({ type: "cancel", id });
    this.#deliver(id, { type: "cancelled" });
  }
}

function weighEvent(event: GenerationEvent): number {
  if (event.type !== "delta" || event.scores === undefined) return 1;
  const { scores } = event;
  return 1 + scores.reduce((sum, { top }) => sum + 1 + top.length, 0) / SCORES_OF_EVENT;
}

function cancelled(): AppError {
  return new AppError({ code: "cancelled", message: "The request was cancelled." });
}

function readVectors(
  { count, dimensions, promptTokens }: { count: number; dimensions: number; promptTokens: number },
  payload: Uint8Array,
): EmbeddingResult {
  const values = new Float32Array(payload.buffer, payload.byteOffset, count * dimensions);
  const vectors = Array.from({ length: count }, (_, i) => values.subarray(i * dimensions, (i + 1) * dimensions));
  return { vectors, dimensions, promptTokens };
}
