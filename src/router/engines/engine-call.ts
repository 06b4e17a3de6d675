// One request on whatever engine its model has: a request that got nothing from an engine that died is tried once more
// on the next, and whoever reads its events does not notice. What a death means is decided in crash-policy.ts.

import type { Clock } from "../../lib/clock.ts";
import { AppError, type ErrorCode, toAppError } from "../../protocol/errors.ts";
import type { EmbeddingInput, EmbeddingResult, GenerationEvent, GenerationRequest } from "../../protocol/generation.ts";
import type { TextAnswer, TextQuestion } from "../../protocol/text-question.ts";
import { type CrashTable, DEATHS_MAX, describeGeneration, hashCall, judgeCrash } from "./crash-policy.ts";
import type { Accepted } from "./engine-client.ts";
import type { EngineProcess } from "./engine-process.ts";

export interface EngineCallOptions {
  modelId: string;
  modelPath: string;
  crashes: CrashTable;
  clock: Clock;
  signal: AbortSignal;
  /** The model's engine, started if there is none. Throws when it can't be had. */
  findEngine: () => Promise<EngineProcess>;
}

/** Its engine died, or had to make room. */
const MAY_GO_ON: readonly ErrorCode[] = ["engine_crashed", "model_loading"];

export class EngineCall {
  readonly #options: EngineCallOptions;
  readonly #content: () => unknown;
  #key: string | null = null;
  /** Deaths at which this very call was present. */
  #deaths = 0;
  /** Its engine had to make room before it said anything. Once only: a long prompt would else never be read to its end. */
  #moved = false;

  private constructor(options: EngineCallOptions, content: () => unknown) {
    this.#options = options;
    this.#content = content;
  }

  static async generate(request: GenerationRequest, options: EngineCallOptions): Promise<Accepted> {
    const call = new EngineCall(options, () => describeGeneration(request));
    call.#assertAdmitted();
    const send = (engine: EngineProcess) => engine.client.generate(request, options.signal, !call.#moved);
    const { engine, value } = await call.#run(await options.findEngine(), send);
    return { ...value, events: { [Symbol.asyncIterator]: () => call.#readEvents(engine, value, send, request.whole) } };
  }

  static async embed(inputs: EmbeddingInput[], options: EngineCallOptions): Promise<EmbeddingResult> {
    return await EngineCall.#once(inputs, options, ({ client }) => client.embed(inputs, options.signal));
  }

  static async tell(question: TextQuestion, options: EngineCallOptions): Promise<TextAnswer> {
    return await EngineCall.#once(question, options, ({ client }) => client.tell(question, options.signal));
  }

  /** A call with one answer. */
  static async #once<T>(
    content: unknown,
    options: EngineCallOptions,
    send: (engine: EngineProcess) => Promise<T>,
  ): Promise<T> {
    const call = new EngineCall(options, () => content);
    call.#assertAdmitted();
    const { value } = await call.#run(await options.findEngine(), send);
    call.#noteSuccess();
    return value;
  }

  /** Sends until an engine takes it; throws what the client is to be told. */
  async #run<T>(
    first: EngineProcess,
    send: (engine: EngineProcess) => Promise<T>,
  ): Promise<{ engine: EngineProcess; value: T }> {
    let engine = first;
    for (;;) {
      // It may have been put to sleep since it was found.
      while (engine.stopping) engine = await this.#options.findEngine();
      try {
        return { engine, value: await send(engine) };
      } catch (thrown) {
        engine = await this.#findNext(toAppError(thrown), engine);
      }
    }
  }

  /**
   * Not a generator: its `return` would wait for the event that is pending. `whole`: nobody reads along, so nothing is
   * given out before the end, and until then the request has produced nothing.
   */
  #readEvents(
    first: EngineProcess,
    accepted: Accepted,
    send: (engine: EngineProcess) => Promise<Accepted>,
    whole = false,
  ): AsyncIterator<GenerationEvent> {
    let engine = first;
    let source = accepted.events[Symbol.asyncIterator]();
    let held: GenerationEvent[] = [];
    let ready: Iterator<GenerationEvent> = held.values();
    let produced = false;
    let left = false;
    const next = async (): Promise<IteratorResult<GenerationEvent>> => {
      const before = ready.next();
      if (before.done !== true) return before;
      let step = await source.next();
      while (whole && step.done !== true && step.value.type === "delta") {
        held.push(step.value);
        step = await source.next();
      }
      if (step.done === true) return step;
      const event = step.value;
      if (event.type === "delta") produced = true;
      if (event.type === "done") {
        this.#noteSuccess();
        ready = [...held, event].values();
        return await next();
      }
      held = [];
      if (event.type !== "error" || !MAY_GO_ON.includes(event.error.code) || left) return step;
      try {
        const replacement = await this.#findNext(new AppError(event.error), engine, produced);
        const again = await this.#run(replacement, send);
        engine = again.engine;
        source = again.value.events[Symbol.asyncIterator]();
      } catch (thrown) {
        return { done: false, value: toEvent(toAppError(thrown)) };
      }
      if (left) await source.return?.();
      return await next();
    };
    return {
      next,
      return: async () => {
        left = true;
        return (await source.return?.()) ?? { done: true, value: undefined };
      },
    };
  }

  /** After a failure: the engine to go on with. Throws what the client is to be told. */
  async #findNext(error: AppError, engine: EngineProcess, produced = false): Promise<EngineProcess> {
    const { crashes, clock, signal, findEngine } = this.#options;
    if (error.code === "model_loading" && !produced && !this.#moved && !signal.aborted) {
      this.#moved = true;
      return await findEngine();
    }
    if (error.code !== "engine_crashed" || engine.stopping) throw error;
    // The slot hears of the death by the same promise, and before us.
    await engine.exited;
    this.#deaths = Math.max(this.#deaths + 1, crashes.note(this.#hash(), engine.pid, clock.monotonicMs()));
    const verdict = judgeCrash(this.#deaths, produced);
    if (verdict === "refuse") throw this.#refusal(error.message);
    if (verdict === "tell" || signal.aborted) throw error;
    try {
      return await findEngine();
    } catch (thrown) {
      // The slot is cooling off, or the new engine died as well: then the first death is what happened to this request.
      throw toAppError(thrown).code === "engine_crashed" ? error : thrown;
    }
  }

  #assertAdmitted(): void {
    const { crashes, clock } = this.#options;
    const nowMs = clock.monotonicMs();
    // Hashing a long prompt takes milliseconds, and deaths are rare.
    if (crashes.count(nowMs) > 0 && crashes.isRefused(this.#hash(), nowMs)) throw this.#refusal();
  }

  #noteSuccess(): void {
    const { crashes, clock } = this.#options;
    if (crashes.count(clock.monotonicMs()) > 0) crashes.forget(this.#hash());
  }

  #hash(): string {
    this.#key ??= hashCall(this.#options.modelPath, this.#content());
    return this.#key;
  }

  #refusal(last = ""): AppError {
    const message = `${DEATHS_MAX} engines of ${this.#options.modelId} died while they had this request. ${last}`;
    return new AppError({ code: "request_crashes_engine", message: message.trim() });
  }
}

function toEvent(error: AppError): GenerationEvent {
  return error.code === "cancelled" ? { type: "cancelled" } : { type: "error", error: error.toBody() };
}
