// The engine's decisions around one backend: receive → admit → plan → decode → sample → emit, a step at a time.
// It owns every sequence. It knows no sockets and no llama.cpp.

import { assert } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import { AppError, toAppError } from "../protocol/errors.ts";
import type { FinishReason, GenerationEvent } from "../protocol/generation.ts";
import type { ToEngine } from "../protocol/messages.ts";
import type { EngineStats } from "../protocol/model-info.ts";
import { TokenTexts } from "./answer/detokenizer.ts";
import type { Backend } from "./backend.ts";
import type { KvStore } from "./disk/kv-store.ts";
import { Upkeep } from "./disk/upkeep.ts";
import { describeCache, describeMemory, describeWork, explainCache } from "./explain.ts";
import { cannotGenerate, Intake } from "./intake.ts";
import { Outbox, type Send } from "./outbox.ts";
import { PrefixCache } from "./prefix/prefix-cache.ts";
import { tellProgress } from "./reading-progress.ts";
import { Roster } from "./roster.ts";
import { sampleOutputs, scorePrompt } from "./sampling.ts";
import { AdapterSets } from "./schedule/adapter-sets.ts";
import { doneEvent, type Sequence } from "./sequence.ts";
import { SingleAnswers } from "./single-answers.ts";
import { type StepOutput, Stepper, type StepSettings } from "./stepper.ts";

/** A request that has waited this long is announced before it has a place, so that its client sees that we live. */
const ANNOUNCE_MS = 10_000;

export interface EngineOptions extends StepSettings {
  /** Kept state on disk; null = none. */
  store: KvStore | null;
  /** Memory of checkpoints, in models that need them. */
  checkpointBytesMax: number;
  /** Hashes of the files of the model's adapters, in their order; absent: it has none. */
  adapters?: readonly string[];
  /** Whether a full context drops its middle where a request does not say it. Default false. */
  shiftsContext?: boolean | undefined;
}

export class Engine implements Disposable {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #send: Send;
  readonly #outbox: Outbox;
  readonly #intake: Intake;
  readonly #singles: SingleAnswers;
  readonly #cache: PrefixCache;
  readonly #roster: Roster;
  readonly #stepper: Stepper;
  readonly #store: KvStore | null;
  readonly #upkeep: Upkeep;
  #decodedTokens = 0;
  #reusedTokens = 0;

  constructor(backend: Backend, clock: Clock, send: Send, options: EngineOptions) {
    this.#backend = backend;
    this.#clock = clock;
    this.#send = send;
    this.#outbox = new Outbox(send);
    const sets = new AdapterSets(options.adapters ?? []);
    this.#intake = new Intake(backend, new TokenTexts(backend), sets, options.shiftsContext);
    this.#singles = new SingleAnswers(backend, send);
    this.#cache = new PrefixCache(backend, clock, options.checkpointBytesMax);
    this.#stepper = new Stepper(backend, clock, this.#cache, options);
    this.#store = options.store;
    this.#roster = new Roster(clock, this.#cache, options.store);
    this.#upkeep = new Upkeep(backend, clock, this.#cache, options.store, send);
  }

  /** How long there is nothing to do, in ms, unless a message comes or a task ends. */
  get restMs(): number {
    if (this.#roster.isBusy || this.#singles.isReady) return 0;
    return this.#upkeep.restMs(this.#isIdle);
  }

  get #isIdle(): boolean {
    return this.#roster.running === 0 && this.#roster.waiting === 0 && this.#intake.size === 0;
  }

  receive(message: ToEngine): void {
    switch (message.type) {
      case "generate":
        this.#outbox.open(message.id);
        if (!this.#backend.info.canGenerate) this.#outbox.fail(message.id, cannotGenerate(this.#backend.info));
        else this.#intake.add(message.id, message.request, this.#clock.monotonicMs());
        break;
      case "embed":
      case "tell":
        this.#singles.add(message);
        break;
      case "cancel":
        this.#cancel(message.id);
        break;
      case "pause":
      case "resume":
        this.#setPaused(message.id, message.type === "pause");
        break;
      case "stats":
        this.#send({ type: "stats", id: message.id, stats: this.stats() });
        break;
      case "cache": {
        const entries = describeCache(this.#cache, this.#backend, this.#store, this.#clock.monotonicMs());
        this.#send({ type: "cache", id: message.id, entries });
        break;
      }
      case "flush":
        this.#upkeep.flush(message.id);
        break;
      case "adjust":
        this.#upkeep.adjust(message.limits);
        break;
      case "load":
      case "shutdown":
        throw new Error(`'${message.type}' belongs to the process around the engine`);
    }
  }

  /** One turn: what is ready comes in, one batch runs, and all its events go out in one message. */
  step(): void {
    this.#takeArrivals();
    this.#roster.placeWaiting();
    this.#upkeep.step(this.#isIdle);
    this.#announce();
    this.#singles.step();
    this.#stepper.times.time("stepMs", () => this.#runBatch());
    if (this.#isIdle) this.#cache.checkIntegrity();
    this.#upkeep.answer();
    this.#stepper.times.time("sendMs", () => this.#outbox.flush());
  }

  stats(): EngineStats {
    return {
      ...describeMemory(this.#cache, this.#backend, this.#store),
      ...describeWork(this.#roster, this.#stepper),
      waiting: this.#roster.waiting + this.#intake.size,
      decodedTokens: this.#decodedTokens,
      reusedTokens: this.#reusedTokens,
    };
  }

  #takeArrivals(): void {
    for (let arrival = this.#intake.next(); arrival.kind !== "none"; arrival = this.#intake.next()) {
      if (arrival.kind === "ready") this.#roster.add(arrival.sequence);
      else if (arrival.kind === "refused") this.#outbox.fail(arrival.id, arrival.error);
      else for (const event of arrival.events) this.#outbox.emit(arrival.id, event);
    }
  }

  /** Where a prompt came from is known once it has a place and nothing more comes from disk. */
  #announce(): void {
    for (const sequence of this.#roster.settled()) this.#tellStarted(sequence, true);
    const now = this.#clock.monotonicMs();
    for (const sequence of this.#roster) if (now - sequence.receivedMs >= ANNOUNCE_MS) this.#tellStarted(sequence);
  }

  #tellStarted(sequence: Sequence, isSettled = false): void {
    if (sequence.announced) return;
    sequence.announced = true;
    const cache = isSettled ? explainCache(sequence, this.#backend) : null;
    this.#outbox.emit(sequence.id, { type: "started", promptTokens: sequence.promptLength, cache });
    if (sequence.echo !== "") this.#outbox.emit(sequence.id, { type: "delta", text: sequence.echo });
  }

  #runBatch(): void {
    const active = this.#roster.active();
    if (active.length === 0) return;
    const result = this.#stepper.run(active, this.#roster.promptsPerStep);
    this.#store?.noteWork();
    switch (result.kind) {
      case "ran":
        this.#roster.noteProgress();
        for (const [id, event] of tellProgress(active, this.#clock.monotonicMs())) this.#outbox.emit(id, event);
        this.#sample(result.outputs);
        this.#stepper.measure();
        this.#cache.stops.take(active);
        break;
      case "full": {
        const last = this.#roster.makeWay(result.crowded);
        const message = `The KV cache of ${this.#cache.total} tokens is full.`;
        if (last !== null) this.#endBadly(last, new AppError({ code: "out_of_memory", message }));
        break;
      }
      case "failed":
        for (const sequence of result.sequences) this.#endBadly(sequence, result.thrown);
        break;
      case "aborted":
        break;
    }
  }

  /** One token for each sequence whose last row had output; more for those whose guess is right. */
  #sample(outputs: readonly StepOutput[]): void {
    let going = outputs.filter((output) => this.#readPrompt(output));
    for (let row = 0; going.length > 0; row++) {
      const sampled = this.#stepper.times.time("sampleMs", () => sampleOutputs(this.#backend, going, row));
      const now = this.#clock.monotonicMs();
      going = going.filter(({ sequence }, i) => {
        const result = sampled[i];
        assert(result !== undefined, "every sampled row has a result");
        sequence.firstTokenMs ??= now;
        const isRight = result.kind === "token" && result.token === sequence.draft[row];
        if (!isRight) this.#stepper.endDraft(sequence, row);
        const goesOn =
          result.kind === "token" ? this.#take(sequence, result.token) : this.#endBadly(sequence, result.error);
        if (goesOn && !isRight) this.#cache.cut(sequence);
        // The answer ended within its guess: what came of it was right.
        if (isRight && !goesOn) this.#stepper.endDraft(sequence, row + 1);
        return goesOn && isRight;
      });
    }
  }

  /** Sends what the rows say of the prompt; true when the last one is to be sampled. */
  #readPrompt(output: StepOutput): boolean {
    const { sequence } = output;
    try {
      const delta = scorePrompt(this.#backend, output);
      if (delta !== null) this.#outbox.emit(sequence.id, delta);
    } catch (thrown) {
      return this.#endBadly(sequence, thrown);
    }
    if (!output.isComplete) return false;
    return sequence.isFull ? this.#finish(sequence, "length") : true;
  }

  /** True when the sequence goes on. */
  #take(sequence: Sequence, token: number): boolean {
    this.#decodedTokens++;
    sequence.append(token);
    try {
      if (this.#backend.isEnd(token)) return this.#finish(sequence, "stop");
      const { events, stopped } = sequence.answer.push(token);
      for (const event of sequence.scores?.attach(events) ?? events) this.#outbox.emit(sequence.id, event);
      if (stopped) return this.#finish(sequence, "stop");
      if (!sequence.isFull) return true;
      if (!sequence.canShift) return this.#finish(sequence, "length");
      this.#cache.shift(sequence);
      return true;
    } catch (thrown) {
      return this.#endBadly(sequence, thrown);
    }
  }

  #finish(sequence: Sequence, reason: FinishReason): false {
    const { answer, scores } = sequence;
    const last = answer.finish();
    for (const event of scores?.finish(last, answer.stopString !== null) ?? last) this.#outbox.emit(sequence.id, event);
    const cache = explainCache(sequence, this.#backend);
    this.#end(sequence, doneEvent(sequence, reason, cache, this.#clock.monotonicMs()));
    return false;
  }

  #cancel(id: number): void {
    if (this.#singles.cancel(id)) return;
    if (!this.#outbox.isOpen(id)) return;
    if (this.#intake.cancel(id)) {
      this.#outbox.emit(id, { type: "cancelled" });
    } else {
      const sequence = this.#roster.find(id);
      assert(sequence !== undefined, `request ${id} is open and nowhere`);
      this.#end(sequence, { type: "cancelled" });
    }
    this.#outbox.flush();
  }

  #setPaused(id: number, paused: boolean): void {
    if (this.#intake.setPaused(id, paused)) return;
    const sequence = this.#roster.find(id);
    if (sequence !== undefined) sequence.paused = paused;
  }

  /** What a failure left in the cells is not trusted. */
  #endBadly(sequence: Sequence, thrown: unknown): false {
    this.#end(sequence, { type: "error", error: toAppError(thrown).toBody() });
    return false;
  }

  /** The only way out for a sequence: its place, its native objects and its request end together. */
  #end(sequence: Sequence, event: GenerationEvent): void {
    this.#roster.remove(sequence, event.type !== "error");
    const { live, retained, disk } = sequence.reused;
    this.#reusedTokens += live + retained + disk;
    sequence[Symbol.dispose]();
    this.#outbox.emit(sequence.id, event);
  }

  [Symbol.dispose](): void {
    this.#intake[Symbol.dispose]();
    this.#singles[Symbol.dispose]();
    this.#store?.[Symbol.dispose]();
    this.#cache.checkpoints[Symbol.dispose]();
    for (const sequence of this.#roster) sequence[Symbol.dispose]();
  }
}
