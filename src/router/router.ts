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
  startEngine(entry: ModelEntry): Promise<EngineProcess>;
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
  slot: Slot;
  engine: EngineProcess | null;
  starting: Promise<EngineProcess> | null;
  /** Why the last start failed; forgotten when one succeeds. */
  error: string | null;
}

export class Router implements Inference {
  readonly #deps: RouterDependencies;
  readonly #places = new Map<string, Place>();
  #stopped = false;

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
    const states = [...this.#places.entries()].map(([id, { slot, error }]) => ({ id, slot, error }));
    return describeHealth(states, this.#deps.facts.plugins, this.#deps.clock.monotonicMs());
  }

  async backendInfo(): Promise<BackendInfo> {
    const { version, llamaCpp, plugins, skippedPlugins } = this.#deps.facts;
    const running = [...this.#places].filter(([, place]) => place.engine !== null);
    const engines = await Promise.all(running.map(([model, place]) => report(model, place)));
    return { version, llamaCpp, plugins, skippedPlugins, engines: engines.filter((engine) => engine !== null) };
  }

  /** Ends all engines; requests that are still open end with `engine_crashed`. */
  async stop(): Promise<void> {
    this.#stopped = true;
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
    if (this.#stopped) throw new AppError({ code: "overloaded", message: "The server is stopping." });
    const place = this.#placeOf(entry);
    const decision = decide(place.slot, this.#deps.clock.monotonicMs());
    switch (decision.kind) {
      case "grant":
        return present(place.engine);
      case "join":
        return await abortable(present(place.starting), signal);
      case "start":
        place.starting = this.#start(entry, place);
        // A start goes on when the request that asked for it leaves: the next one finds the model loaded.
        place.starting.catch(() => {});
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
      place = { slot: NEW_SLOT, engine: null, starting: null, error: null };
      this.#places.set(entry.path, place);
    }
    return place;
  }

  async #start(entry: ModelEntry, place: Place): Promise<EngineProcess> {
    const { clock, log } = this.#deps;
    place.slot = onStart(place.slot);
    log.info("loading", { model: entry.id, path: entry.path });
    try {
      const engine = await this.#deps.effects.startEngine(entry);
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

/** An engine that dies while it is asked has nothing to report. */
async function report(model: string, place: Place): Promise<EngineReport | null> {
  const { engine } = place;
  if (engine === null) return null;
  const stats = await engine.client.stats().catch(() => null);
  return { model, pid: engine.pid, state: "loaded", info: engine.info, stats };
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
