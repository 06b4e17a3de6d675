// A router with a memory budget over engines without processes, in a time that jumps from event to event: loads, answers and
// ends take what the test says. Counts what processes hold at any time, and what became of each request.

import { silentLogger } from "../../src/lib/log.ts";
import type { ModelEntry } from "../../src/models/entry.ts";
import type { ModelRegistry } from "../../src/models/registry.ts";
import { AppError } from "../../src/protocol/errors.ts";
import type { GenerationRequest } from "../../src/protocol/generation.ts";
import { noParts } from "../../src/protocol/memory-need.ts";
import { type EngineProcess, StartFailure } from "../../src/router/engines/engine-process.ts";
import type { Learned } from "../../src/router/placement/deviation.ts";
import type { MemoryEffects } from "../../src/router/residency/memory-effects.ts";
import { Router } from "../../src/router/router.ts";
import { FakeClock } from "./fake-clock.ts";
import { FakeEngine, makeEntry } from "./fake-engines.ts";
import { DONE_EVENT } from "./fake-inference.ts";
import { readAll } from "./router-fixture.ts";

export interface WorldModel {
  id: string;
  bytes: number;
  loadMs: number;
  /** What the first embedding adds; absent: nothing. */
  embeddingBytes?: number;
  pinned?: boolean;
  priority?: number;
}

export interface WorldOptions {
  models: readonly WorldModel[];
  budgetBytes: number;
  /** Of one answer: asked for each. */
  answerMs: () => number;
  exitMs?: number;
  /** Thrown by a load in place of an engine; null: it succeeds. */
  failLoad?: (id: string) => Error | null;
  /** What an engine with the model's settings takes, in place of the model's bytes; what it throws is told who asked. */
  needOf?: (entry: ModelEntry) => number;
  /** How long it takes to find out what a model needs. */
  weighMs?: () => number;
}

export interface Asked {
  model: string;
  /** By number of client, and of its request. */
  client: number;
  at: number;
  outcome: string;
  waitedMs: number;
}

class WorldEngine extends FakeEngine {
  override embeds = true;
  readonly #world: SwapWorld;

  constructor(world: SwapWorld, model: WorldModel, pid: number) {
    super(model.id, pid);
    this.#world = world;
    void this.exited.then(() => world.alive.delete(pid));
  }

  override accept(id: number): void {
    super.accept(id);
    this.#world.clock.after(this.#world.options.answerMs(), () => {
      this.say(id, { type: "delta", text: "x" }, DONE_EVENT);
    });
  }

  override async stop(): Promise<void> {
    this.stopping = true;
    await this.#world.pass(this.#world.options.exitMs ?? 0);
    await super.stop();
  }
}

export class SwapWorld {
  readonly clock = new FakeClock();
  readonly router: Router;
  /** Bytes by process, from its start to its end. */
  readonly alive = new Map<number, number>();
  /** Processes whose load was done. */
  readonly loaded = new Set<number>();
  readonly engines: WorldEngine[] = [];
  peakBytes = 0;
  /** Models in the order in which they were loaded, and asked for. */
  readonly loads: string[] = [];
  readonly arrivals: string[] = [];
  readonly asked: Asked[] = [];
  readonly readAhead: string[] = [];
  /** What loads of a model took in earlier times. */
  readonly learned = new Map<string, Learned>();
  readonly entries: ModelEntry[];
  /** The default model, when it is not the first. */
  preferred: string | null = null;
  #open = 0;

  constructor(readonly options: WorldOptions) {
    this.entries = options.models.map(({ id, pinned, priority }) => {
      const settings = { engine: {}, sampling: {}, ...(priority === undefined ? {} : { priority }) };
      return makeEntry(id, { settings, pinned: pinned ?? false });
    });
    this.router = new Router({
      registry: this.#fakeRegistry(),
      effects: { startEngine: (entry, signal) => this.#startEngine(entry, signal) },
      memory: this.#fakeMemory(),
      facts: {
        version: "1.0.0",
        llamaCpp: { version: "v0", commit: "abc" },
        plugins: [],
        skippedPlugins: [],
        contextLength: 0,
      },
      log: silentLogger,
      clock: this.clock,
      sleepAfterMs: 0,
    });
  }

  pass(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.after(ms, resolve));
  }

  /** Asks and reads to the end; what became of it is noted. */
  async ask(model: string, client = 0, at = 0, signal = new AbortController().signal): Promise<Asked> {
    this.arrivals.push(model);
    const startMs = this.clock.monotonicMs();
    const request: GenerationRequest = { prompt: { kind: "text", text: `${client} ${at}` }, sampling: {}, stop: [] };
    let outcome: string;
    this.#open += 1;
    try {
      const { events } = await this.router.generate(model, request, signal);
      const last = (await readAll(events)).at(-1);
      outcome = last?.type === "error" ? last.error.code : (last?.type ?? "nothing");
    } catch (thrown) {
      outcome = thrown instanceof AppError ? thrown.code : String(thrown);
    }
    this.#open -= 1;
    const asked = { model, client, at, outcome, waitedMs: this.clock.monotonicMs() - startMs };
    this.asked.push(asked);
    return asked;
  }

  /** Lets time pass until this is done, or nothing will happen any more. */
  async finish(work: Promise<unknown>): Promise<void> {
    let done = false;
    const end = (): void => {
      done = true;
    };
    void work.then(end, end);
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (done) return void (await work);
      const next = this.clock.nextAtMs;
      if (next === null) throw new Error(`nothing happens any more, and ${this.#open} requests are open`);
      this.clock.advance(next - this.clock.monotonicMs());
    }
  }

  async #startEngine(entry: ModelEntry, signal: AbortSignal): Promise<EngineProcess> {
    const model = this.modelOf(entry.id);
    const pid = 1000 + this.engines.length;
    const engine = new WorldEngine(this, model, pid);
    this.engines.push(engine);
    this.loads.push(model.id);
    this.alive.set(pid, this.#bytesOf(entry));
    const held = [...this.alive.values()].reduce((sum, bytes) => sum + bytes, 0);
    this.peakBytes = Math.max(this.peakBytes, held);
    const failure = (await this.#passUnlessAborted(model.loadMs, signal)) ?? this.options.failLoad?.(model.id) ?? null;
    if (failure === null) {
      this.loaded.add(pid);
      return engine.asProcess();
    }
    this.alive.delete(pid);
    throw failure;
  }

  /** What a process says whose load is ended, when it is gone; null: it was not. */
  async #passUnlessAborted(ms: number, signal: AbortSignal): Promise<StartFailure | null> {
    const ended = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => ended.resolve(), { once: true });
    if (signal.aborted) ended.resolve();
    await Promise.race([this.pass(ms), ended.promise]);
    if (!signal.aborted) return null;
    await this.pass(this.options.exitMs ?? 0);
    return new StartFailure(new AppError({ code: "overloaded", message: "its load was ended" }), false);
  }

  #bytesOf(entry: ModelEntry): number {
    return this.options.needOf?.(entry) ?? this.modelOf(entry.id).bytes;
  }

  modelOf(id: string): WorldModel {
    const model = this.options.models.find((one) => one.id === id);
    if (model === undefined) throw new Error(`there is no ${id}`);
    return model;
  }

  #fakeMemory(): MemoryEffects {
    return {
      pools: () => ["main memory"],
      needOf: async (entry) => {
        const weighMs = this.options.weighMs?.() ?? 0;
        if (weighMs > 0) await this.pass(weighMs);
        return [this.#bytesOf(entry)];
      },
      budgets: () => [this.options.budgetBytes],
      readAhead: async (entry) => void this.readAhead.push(entry.id),
      embeddingOf: ({ id }) => {
        const { embeddingBytes } = this.modelOf(id);
        return embeddingBytes === undefined ? null : { host: { ...noParts(), kvBytes: embeddingBytes }, devices: [] };
      },
      byPool: ({ host }) => [host.kvBytes],
      learnedOf: (id) => this.learned.get(id) ?? null,
      readFree: async (pid) => {
        const held = [...this.alive.values()].reduce((sum, bytes) => sum + bytes, 0);
        return {
          hostBytes: 1000 - held,
          devices: [{ id: "cuda:0", freeBytes: 5000 - held, ownBytes: this.alive.get(pid) ?? null }],
        };
      },
      readProcess: (pid) => {
        const bytes = this.alive.get(pid);
        return bytes === undefined ? null : { anonBytes: bytes, mappedBytes: 0 };
      },
    };
  }

  #fakeRegistry(): ModelRegistry {
    const { entries } = this;
    const registry = {
      list: () => entries,
      defaultEntry: () => entries.find(({ id }) => id === this.preferred) ?? entries[0] ?? null,
      resolve(name: string) {
        const entry = entries.find(({ id }) => id === name);
        if (entry === undefined) throw new AppError({ code: "model_not_found", message: `no ${name}` });
        return entry;
      },
      pin: (name: string, pinned: boolean) => Object.assign(registry.resolve(name), { pinned }),
      makeDefault: (id: string) => {
        this.preferred = id;
      },
    };
    return registry as unknown as ModelRegistry;
  }
}
