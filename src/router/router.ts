// Which engine answers: names to models, models to engines, one engine per model, started on first use. What happens
// to an engine's slot is decided in slot.ts; here it is done.

import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { assertServable, type ModelEntry } from "../models/entry.ts";
import type { ModelRegistry } from "../models/registry.ts";
import { AppError } from "../protocol/errors.ts";
import type { EmbeddingInput, EmbeddingResult, GenerationRequest } from "../protocol/generation.ts";
import { type EngineProcess, StartFailure } from "./engine-process.ts";
import type { BackendInfo, EngineReport, Generation, Health, Inference, ModelCard } from "./inference.ts";
import { type CardSettings, describeHealth, toCard } from "./model-card.ts";
import type { SkippedPlugin } from "./plugins.ts";
import { decide, NEW_SLOT, onDeath, onReady, onStart, onStopped, type Slot } from "./slot.ts";

/** The router's window to the world. */
export interface RouterEffects {
  startEngine(entry: ModelEntry, signal: AbortSignal): Promise<EngineProcess>;
}

export interface RouterFacts extends CardSettings {
  version: string;
  llamaCpp: { version: string; commit: string };
  /** File names in load order. */
  plugins: string[];
  skippedPlugins: SkippedPlugin[];
}

export interface RouterDependencies {
  registry: ModelRegistry;
  effects: RouterEffects;
  facts: RouterFacts;
  log: Logger;
  clock: Clock;
}

/** A model's engine, or where it stands without one. */
interface Place {
  /** As the listings called the model when it was last asked for: the key is its path. */
  id: string;
  slot: Slot;
  engine: EngineProcess | null;
  starting: Promise<EngineProcess> | null;
  /** Why the last start failed; forgotten when one succeeds. */
  error: string | null;
}

export class Router implements Inference {
  readonly #deps: RouterDependencies;
  readonly #places = new Map<string, Place>();
  /** Aborted when the router stops: loads in progress end with it. */
  readonly #stopping = new AbortController();

  constructor(deps: RouterDependencies) {
    this.#deps = deps;
  }

  listModels(): ModelCard[] {
    return this.#deps.registry.list().map((entry) => this.#card(entry));
  }

  resolveModel(name: string | undefined): ModelCard {
    return this.#card(this.#deps.registry.resolve(name));
  }

  async generate(model: string | undefined, request: GenerationRequest, signal: AbortSignal): Promise<Generation> {
    const entry = this.#deps.registry.resolve(model);
    const engine = await this.#engineFor(entry, signal);
    const accepted = await engine.client.generate(request, signal);
    return { model: this.#card(entry), ...accepted };
  }

  async embed(
    model: string | undefined,
    inputs: EmbeddingInput[],
    signal: AbortSignal,
  ): Promise<EmbeddingResult & { model: ModelCard }> {
    const entry = this.#deps.registry.resolve(model);
    const engine = await this.#engineFor(entry, signal);
    return { ...(await engine.client.embed(inputs, signal)), model: this.#card(entry) };
  }

  health(): Health {
    const states = [...this.#places.values()];
    return describeHealth(states, this.#deps.facts, this.#deps.clock.monotonicMs());
  }

  async backendInfo(): Promise<BackendInfo> {
    const { version, llamaCpp, plugins, skippedPlugins } = this.#deps.facts;
    const engines = await Promise.all([...this.#places.values()].map((place) => report(place, this.#deps.clock)));
    return { version, llamaCpp, plugins, skippedPlugins, engines: engines.filter((engine) => engine !== null) };
  }

  /** Ends all engines; requests that are still open end with `engine_crashed`. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const starting = [...this.#places.values()].map((place) => place.starting).filter((start) => start !== null);
    await Promise.allSettled(starting);
    const engines = [...this.#places.values()].map((place) => place.engine).filter((engine) => engine !== null);
    await Promise.all(engines.map((engine) => engine.stop()));
  }

  #card(entry: ModelEntry): ModelCard {
    const place = this.#places.get(entry.path);
    const isDefault = this.#deps.registry.defaultEntry() === entry;
    const info = place?.engine?.info ?? null;
    return toCard(
      entry,
      { slot: place?.slot ?? NEW_SLOT, error: place?.error ?? null, info, isDefault },
      this.#deps.facts,
    );
  }

  /** The entry's engine, started if there is none. */
  async #engineFor(entry: ModelEntry, signal: AbortSignal): Promise<EngineProcess> {
    assertServable(entry);
    if (this.#stopping.signal.aborted) throw new AppError({ code: "overloaded", message: "The server is stopping." });
    const place = this.#placeOf(entry);
    const decision = decide(place.slot, this.#deps.clock.monotonicMs());
    switch (decision.kind) {
      case "grant":
        return present(place.engine);
      case "join":
        return await abortable(present(place.starting), signal);
      case "start":
        place.starting = this.#start(entry, place);
        place.starting.catch(() => {
          // A start goes on when the request that asked for it leaves. Who still waits for it is told; nobody else is.
        });
        return await abortable(place.starting, signal);
      case "refuse": {
        const seconds = Math.ceil(decision.waitMs / 1000);
        const message = `The engine of ${entry.id} died ${place.slot.deaths} times in a row. The next one starts in ${seconds} s.`;
        throw new AppError({ code: "engine_crashed", message, hint: `Try again in ${seconds} s.` });
      }
    }
  }

  #placeOf(entry: ModelEntry): Place {
    let place = this.#places.get(entry.path);
    if (place === undefined) {
      place = { id: entry.id, slot: NEW_SLOT, engine: null, starting: null, error: null };
      this.#places.set(entry.path, place);
    }
    place.id = entry.id;
    return place;
  }

  async #start(entry: ModelEntry, place: Place): Promise<EngineProcess> {
    const { clock, log } = this.#deps;
    place.slot = onStart(place.slot);
    log.info("loading", { model: entry.id, path: entry.path });
    try {
      const engine = await this.#deps.effects.startEngine(entry, this.#stopping.signal);
      place.slot = onReady(place.slot, clock.monotonicMs());
      place.engine = engine;
      place.error = null;
      const { loadMs, contextLength, parallel, devices } = engine.info;
      log.info("loaded", {
        model: entry.id,
        pid: engine.pid,
        ms: Math.round(loadMs),
        contextLength,
        parallel,
        devices,
      });
      void engine.exited.then(() => this.#onExit(entry, place, engine));
      return engine;
    } catch (thrown) {
      const failure = thrown instanceof StartFailure ? thrown : null;
      place.slot = failure?.died === true ? onDeath(place.slot, clock.monotonicMs()) : onStopped(place.slot);
      place.error = (thrown as Error).message;
      log.error("load failed", { model: entry.id, error: place.error });
      throw failure?.error ?? thrown;
    } finally {
      place.starting = null;
    }
  }

  #onExit(entry: ModelEntry, place: Place, engine: EngineProcess): void {
    place.engine = null;
    if (engine.stopping) {
      place.slot = onStopped(place.slot);
      return;
    }
    place.slot = onDeath(place.slot, this.#deps.clock.monotonicMs());
    this.#deps.log.error("engine died", { model: entry.id, pid: engine.pid, deaths: place.slot.deaths });
  }
}

/** An engine answers between two steps, and a step of a large model may take seconds. */
const STATS_MS_MAX = 10_000;

/** An engine that dies while it is asked, or is busy for too long, has no stats to report. */
async function report({ id, engine }: Place, clock: Clock): Promise<EngineReport | null> {
  if (engine === null) return null;
  const late = Promise.withResolvers<null>();
  const cancelTimer = clock.after(STATS_MS_MAX, () => late.resolve(null), true);
  const stats = await Promise.race([engine.client.stats().catch(() => null), late.promise]);
  cancelTimer();
  return { model: id, pid: engine.pid, state: "loaded", info: engine.info, stats };
}

function present<T>(value: T | null): T {
  if (value === null) throw new AppError({ code: "internal", message: "A slot and its engine disagree." });
  return value;
}

/** Waits for a start that others may wait for too; whoever leaves does not end it. */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const left = Promise.withResolvers<never>();
  const abort = (): void => left.reject(new AppError({ code: "cancelled", message: "The request was cancelled." }));
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, left.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
