// The engine's decisions around one backend: receive → admit → plan → decode → sample → emit, a step at a time.
// It owns every sequence and the ledger. It knows no sockets and no llama.cpp.

import { assert } from "../lib/assert.ts";
import type { Clock } from "../lib/clock.ts";
import { AppError, toAppError } from "../protocol/errors.ts";
import type { FinishReason, GenerationEvent } from "../protocol/generation.ts";
import type { ToEngine } from "../protocol/messages.ts";
import type { EngineStats } from "../protocol/model-info.ts";
import type { Backend, Sampled } from "./backend.ts";
import { TokenTexts } from "./detokenizer.ts";
import { Embedder } from "./embedder.ts";
import { Intake } from "./intake.ts";
import { KvLedger } from "./kv-ledger.ts";
import { Outbox, type Send } from "./outbox.ts";
import { RunningSet } from "./running-set.ts";
import { admits, chooseVictim, plan } from "./scheduler.ts";
import { doneEvent, type Sequence, seqIdOf, toPart } from "./sequence.ts";
import { WaitingList } from "./waiting-list.ts";

export class Engine implements Disposable {
  readonly #backend: Backend;
  readonly #clock: Clock;
  readonly #send: Send;
  readonly #outbox: Outbox;
  readonly #intake: Intake;
  readonly #embedder: Embedder;
  readonly #ledger: KvLedger;
  readonly #waiting = new WaitingList();
  readonly #running = new RunningSet();
  /** The backend was full before our count was. Who had to leave must not come back before somebody got on. */
  #isCrowded = false;
  #steps = 0;
  #decodedTokens = 0;

  constructor(backend: Backend, clock: Clock, send: Send) {
    this.#backend = backend;
    this.#clock = clock;
    this.#send = send;
    this.#outbox = new Outbox(send);
    this.#intake = new Intake(backend, new TokenTexts(backend));
    this.#embedder = new Embedder(backend, send);
    this.#ledger = new KvLedger(backend.info.contextLength, backend.info.parallel);
  }

  /** Something can be done now, without waiting for a message or a task. */
  get isBusy(): boolean {
    return (
      this.#running.active().length > 0 ||
      this.#embedder.isReady ||
      this.#nextWaiting() !== null ||
      this.#idleHolder() !== undefined
    );
  }

  receive(message: ToEngine): void {
    switch (message.type) {
      case "generate":
        this.#outbox.open(message.id);
        if (this.#backend.info.canGenerate) {
          this.#intake.add(message.id, message.request, this.#clock.monotonicMs());
        } else {
          const text = `${this.#backend.info.description} only embeds: it can't generate.`;
          this.#fail(message.id, new AppError({ code: "not_supported", message: text, hint: "Use /v1/embeddings." }));
        }
        break;
      case "embed":
        this.#embedder.add(message.id, message.inputs);
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
      case "load":
      case "shutdown":
        throw new Error(`'${message.type}' belongs to the process around the engine`);
    }
  }

  /** One turn: what is ready comes in, one batch runs, and all its events go out in one message. */
  step(): void {
    this.#takeArrivals();
    this.#admitWaiting();
    this.#embedder.step();
    if (this.#running.size > 0) this.#runBatch();
    if (this.#running.size === 0 && this.#waiting.size === 0) this.#ledger.checkIntegrity();
    this.#outbox.flush();
  }

  stats(): EngineStats {
    const all = [...this.#waiting, ...this.#running];
    return {
      waiting: this.#waiting.size + this.#intake.size,
      running: this.#running.size,
      paused: all.filter((sequence) => sequence.paused).length,
      ledger: { total: this.#ledger.total, used: this.#ledger.used },
      cells: this.#backend.cells(),
      handles: this.#backend.liveHandles(),
      steps: this.#steps,
      decodedTokens: this.#decodedTokens,
    };
  }

  #takeArrivals(): void {
    for (;;) {
      const arrival = this.#intake.next();
      if (arrival.kind === "none") return;
      if (arrival.kind === "refused") {
        this.#fail(arrival.id, arrival.error);
        continue;
      }
      const { sequence } = arrival;
      this.#waiting.add(sequence);
      this.#outbox.emit(sequence.id, { type: "started", promptTokens: sequence.promptLength, cachedTokens: 0 });
    }
  }

  /** The first waiting sequence, if it may start now. */
  #nextWaiting(): Sequence | null {
    const sequence = this.#waiting.first();
    if (sequence === undefined || this.#ledger.freeSequences === 0) return null;
    if (this.#isCrowded && this.#running.active().length > 0) return null;
    return admits(sequence.length, this.#running.size, this.#ledger.free) ? sequence : null;
  }

  /** A sequence that runs for a reader who is behind, while others wait for its place. */
  #idleHolder(): Sequence | undefined {
    return this.#waiting.first() === undefined ? undefined : this.#running.lastPaused();
  }

  #admitWaiting(): void {
    for (;;) {
      const sequence = this.#nextWaiting();
      if (sequence !== null) {
        this.#waiting.remove(sequence);
        sequence.seqId = this.#ledger.open();
        sequence.startedMs ??= this.#clock.monotonicMs();
        this.#running.add(sequence);
        continue;
      }
      const holder = this.#idleHolder();
      if (holder === undefined) return;
      this.#evict(holder);
    }
  }

  #runBatch(): void {
    const active = this.#running.active();
    if (active.length === 0) return;
    const budget = { batchSize: this.#backend.info.batchSize, freeCells: this.#ledger.free };
    const decision = plan(active, budget);
    if (decision.kind === "full") {
      this.#preempt();
      return;
    }
    const chosen = decision.rows.map(({ id, count }) => ({ sequence: this.#running.get(id), count }));
    const parts = chosen.map(({ sequence, count }) => toPart(sequence, count));
    try {
      const result = this.#backend.decode(parts);
      if (result === "full") {
        this.#isCrowded = true;
        this.#preempt();
        return;
      }
      if (result === "aborted") return;
    } catch (thrown) {
      for (const { sequence } of chosen) this.#endBadly(sequence, thrown);
      return;
    }
    this.#isCrowded = false;
    this.#steps++;
    for (const { sequence, count } of chosen) {
      sequence.computed += count;
      this.#ledger.grow(seqIdOf(sequence), count);
    }
    this.#sample(chosen.map(({ sequence }) => sequence).filter((sequence) => sequence.missing === 0));
  }

  /** One token for each sequence whose last row had output. */
  #sample(sequences: Sequence[]): void {
    if (sequences.length === 0) return;
    let sampled: Sampled[];
    try {
      sampled = this.#backend.sample(sequences.map((sequence) => sequence.sampler));
    } catch (thrown) {
      for (const sequence of sequences) this.#endBadly(sequence, thrown);
      return;
    }
    const now = this.#clock.monotonicMs();
    for (const [i, sequence] of sequences.entries()) {
      const result = sampled[i];
      assert(result !== undefined, "every sampled row has a result");
      sequence.firstTokenMs ??= now;
      if (result.kind === "token") this.#take(sequence, result.token);
      else this.#endBadly(sequence, result.error);
    }
  }

  #take(sequence: Sequence, token: number): void {
    this.#decodedTokens++;
    sequence.append(token);
    try {
      if (this.#backend.isEnd(token)) {
        this.#finish(sequence, "stop");
        return;
      }
      const { events, stopped } = sequence.answer.push(token);
      for (const event of events) this.#outbox.emit(sequence.id, event);
      if (stopped) this.#finish(sequence, "stop");
      else if (sequence.isFull) this.#finish(sequence, "length");
    } catch (thrown) {
      this.#endBadly(sequence, thrown);
    }
  }

  #finish(sequence: Sequence, reason: FinishReason): void {
    for (const event of sequence.answer.finish()) this.#outbox.emit(sequence.id, event);
    this.#end(sequence, doneEvent(sequence, reason, this.#clock.monotonicMs()));
  }

  /** Somebody leaves the cache and waits to be read again. With nobody to leave, the last one ends. */
  #preempt(): void {
    const id = chooseVictim([...this.#running]);
    assert(id !== null, "the cache is full and nobody runs");
    const sequence = this.#running.get(id);
    if (this.#running.size === 1) {
      const message = `The KV cache of ${this.#ledger.total} tokens is full.`;
      this.#endBadly(sequence, new AppError({ code: "out_of_memory", message }));
    } else {
      this.#evict(sequence);
    }
  }

  /** Gives its place back and is read again later: its tokens stay, its KV does not. */
  #evict(sequence: Sequence): void {
    this.#release(sequence);
    sequence.computed = 0;
    this.#waiting.add(sequence);
  }

  #cancel(id: number): void {
    if (this.#embedder.cancel(id)) return;
    if (!this.#outbox.isOpen(id)) return;
    if (this.#intake.cancel(id)) {
      this.#outbox.emit(id, { type: "cancelled" });
    } else {
      const sequence = this.#find(id);
      assert(sequence !== undefined, `request ${id} is open and nowhere`);
      this.#end(sequence, { type: "cancelled" });
    }
    this.#outbox.flush();
  }

  #setPaused(id: number, paused: boolean): void {
    if (this.#intake.setPaused(id, paused)) return;
    const sequence = this.#find(id);
    if (sequence !== undefined) sequence.paused = paused;
  }

  #find(id: number): Sequence | undefined {
    return this.#running.find(id) ?? this.#waiting.find(id);
  }

  #endBadly(sequence: Sequence, thrown: unknown): void {
    this.#end(sequence, { type: "error", error: toAppError(thrown).toBody() });
  }

  /** The only way out for a sequence: its cells, its native objects and its request end together. */
  #end(sequence: Sequence, event: GenerationEvent): void {
    if (this.#running.has(sequence)) this.#release(sequence);
    else this.#waiting.remove(sequence);
    sequence[Symbol.dispose]();
    this.#outbox.emit(sequence.id, event);
  }

  #release(sequence: Sequence): void {
    const seqId = seqIdOf(sequence);
    this.#backend.removeSequence(seqId);
    this.#ledger.close(seqId);
    this.#running.remove(sequence);
    sequence.seqId = null;
  }

  #fail(id: number, error: AppError): void {
    this.#outbox.emit(id, { type: "error", error: error.toBody() });
  }

  [Symbol.dispose](): void {
    this.#intake[Symbol.dispose]();
    this.#embedder[Symbol.dispose]();
    for (const sequence of [...this.#waiting, ...this.#running]) sequence[Symbol.dispose]();
  }
}
