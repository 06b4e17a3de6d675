// Which engine answers: names to models, models to engines, one engine per model, started on first use. What happens
// to an engine's slot is decided in slot.ts; here it is done.

import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { assertServable, type ModelEntry } from "../models/entry.ts";
import type { ModelRegistry } from "../models/registry.ts";
import type { Removal } from "../models/removal.ts";
import { AppError } from "../protocol/errors.ts";
import type { EmbeddingInput, EmbeddingResult, GenerationRequest } from "../protocol/generation.ts";
import type { LoraAdapter, LoraScale } from "../protocol/lora.ts";
import type { TextAnswer, TextQuestion } from "../protocol/text-question.ts";
import { type AdapterOptions, Adapters } from "./adapters.ts";
import { CrashTable } from "./crash-policy.ts";
import { EngineCall, type EngineCallOptions } from "./engine-call.ts";
import { type EngineProcess, StartFailure } from "./engine-process.ts";
import { flushEngine, type NamedEngine, prepareSleep, reportCache, reportEngine } from "./engine-report.ts";
import type { BackendInfo, CacheOverview, Generation, Health, Inference, ModelCard } from "./inference.ts";
import { type CardSettings, describeHealth, toCard } from "./model-card.ts";
import { assertAllowed, fillDefaults, idleMsOf, isRankInput, settingsOf } from "./model-settings.ts";
import { abortable, type Place, present } from "./place.ts";
import { Places } from "./places.ts";
import type { SkippedPlugin } from "./plugins.ts";
import { SleepTimer } from "./sleep-timer.ts";
import { decide, NEW_SLOT, onDeath, onReady, onSlept, onStart, onStopped } from "./slot.ts";

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
  /** What is used in place of the back end that was asked for first; absent: nothing is. */
  fallback?: string;
  /** Why devices that are there are not computed on. */
  faults?: () => readonly string[];
}

export interface RouterDependencies {
  registry: ModelRegistry;
  effects: RouterEffects;
  facts: RouterFacts;
  log: Logger;
  clock: Clock;
  /** An engine without requests for this long is stopped; 0 = never. */
  sleepAfterMs: number;
  /** Absent: there are none. */
  adapters?: AdapterOptions;
}

/** Service managers kill 10 s or more after they asked; a stop takes 2 s beyond this. */
const STOP_FLUSH_MS_MAX = 5_000;

export class Router implements Inference {
  readonly #deps: RouterDependencies;
  readonly #places = new Places();
  readonly #crashes = new CrashTable();
  readonly #adapters: Adapters;
  /** Aborted when the router stops: loads in progress end with it. */
  readonly #stopping = new AbortController();

  constructor(deps: RouterDependencies) {
    this.#deps = deps;
    this.#adapters = new Adapters(deps.adapters ?? { modelPath: "", adapters: [] });
  }

  listModels(): ModelCard[] {
    return this.#deps.registry.list().map((entry) => this.#card(entry));
  }

  resolveModel(name: string | undefined): ModelCard {
    return this.#card(this.#deps.registry.resolve(name));
  }

  async generate(model: string | undefined, request: GenerationRequest, signal: AbortSignal): Promise<Generation> {
    const entry = this.#deps.registry.resolve(model);
    assertAllowed(entry, request.prompt.kind === "chat" ? "chat" : "completion");
    const adapted = this.#adapters.apply(entry, fillDefaults(entry, request));
    const accepted = await EngineCall.generate(adapted, this.#callOptions(entry, signal));
    return { model: this.#card(entry), ...accepted };
  }

  async embed(
    model: string | undefined,
    inputs: EmbeddingInput[],
    signal: AbortSignal,
  ): Promise<EmbeddingResult & { model: ModelCard }> {
    const entry = this.#deps.registry.resolve(model);
    assertAllowed(entry, inputs.some(isRankInput) ? "rerank" : "embedding");
    const result = await EngineCall.embed(inputs, this.#callOptions(entry, signal));
    return { ...result, model: this.#card(entry) };
  }

  async load(model: string | undefined, signal: AbortSignal): Promise<ModelCard> {
    const entry = this.#deps.registry.resolve(model);
    await this.#engineFor(entry, signal);
    return this.#card(entry);
  }

  keepFor({ engineKey, pinned }: Pick<ModelCard, "id" | "engineKey" | "pinned">, idleMs: number | null): void {
    const place = this.#places.find(engineKey);
    // It would else hold for an engine that somebody else starts.
    if (pinned || place === null || (place.engine === null && place.starting === null)) return;
    place.idleMs = idleMs;
    place.sleep?.setAfter(idleMs);
  }

  addAlias(model: string, alias: string): void {
    this.#deps.registry.addAlias(model, alias);
  }

  remove(name: string): Removal["kind"] {
    const { kind, path } = this.#deps.registry.remove(name);
    if (path !== null) this.#places.leave(path);
    return kind;
  }

  rename(model: string, name: string): string {
    const { id, path } = this.#deps.registry.rename(model, name);
    if (path !== null) this.#places.leave(path);
    return id;
  }

  pin(model: string, pinned: boolean): ModelCard {
    const entry = this.#deps.registry.pin(model, pinned);
    const place = this.#places.find(entry.engineKey);
    if (place !== null) {
      place.idleMs = idleMsOf(entry, this.#deps.sleepAfterMs);
      place.sleep?.setAfter(place.idleMs);
    }
    return this.#card(entry);
  }

  async tell(model: string | undefined, question: TextQuestion, signal: AbortSignal): Promise<TextAnswer> {
    return await EngineCall.tell(question, this.#callOptions(this.#deps.registry.resolve(model), signal));
  }

  health(): Health {
    const states = this.#places.all();
    return describeHealth(states, this.#deps.facts, this.#deps.clock.monotonicMs());
  }

  async backendInfo(): Promise<BackendInfo> {
    const { version, llamaCpp, plugins, skippedPlugins } = this.#deps.facts;
    const engines = await Promise.all(this.#running().map((engine) => reportEngine(engine, this.#deps.clock)));
    return { version, llamaCpp, plugins, skippedPlugins, engines };
  }

  async cache(): Promise<CacheOverview> {
    const asleep = this.#places.all().filter(({ slot }) => slot.kind === "asleep");
    const slept = asleep.flatMap((place) => place.slept ?? []);
    return await reportCache(this.#running(), this.#deps.clock, slept);
  }

  listAdapters(): readonly LoraAdapter[] {
    return this.#adapters.list();
  }

  setAdapterScales(scales: readonly LoraScale[]): void {
    this.#adapters.setScales(scales);
  }

  /** Ends all engines; requests that are still open end with `engine_crashed`. Graceful: what they keep is written. */
  async stop(graceful = false): Promise<void> {
    this.#stopping.abort();
    const places = this.#places.all();
    for (const { sleep } of places) sleep?.stop();
    await Promise.allSettled(places.map((place) => place.starting).filter((start) => start !== null));
    const stopped = this.#running().map(async ({ engine }) => {
      if (graceful) await flushEngine(engine, STOP_FLUSH_MS_MAX, this.#deps.clock);
      await engine.stop();
    });
    await Promise.all([...stopped, ...places.map((place) => place.leaving)]);
  }

  #running(): NamedEngine[] {
    return this.#places.all().flatMap(({ id, engine }) => (engine === null ? [] : [{ model: id, engine }]));
  }

  #callOptions(entry: ModelEntry, signal: AbortSignal): EngineCallOptions {
    return {
      modelId: entry.id,
      modelPath: entry.path,
      crashes: this.#crashes,
      clock: this.#deps.clock,
      signal,
      findEngine: () => this.#engineFor(entry, signal),
    };
  }

  #card(entry: ModelEntry): ModelCard {
    const place = this.#places.find(entry.engineKey);
    const isDefault = this.#deps.registry.defaultEntry() === entry;
    const info = place?.engine?.info ?? null;
    return toCard(
      entry,
      {
        slot: place?.slot ?? NEW_SLOT,
        error: place?.error ?? null,
        info,
        isDefault,
        sleepsInMs: place?.sleep?.leftMs ?? null,
      },
      settingsOf(entry, this.#deps.facts),
    );
  }

  /** The entry's engine, started if there is none. */
  async #engineFor(entry: ModelEntry, signal: AbortSignal): Promise<EngineProcess> {
    assertServable(entry);
    if (this.#stopping.signal.aborted) throw new AppError({ code: "overloaded", message: "The server is stopping." });
    const place = this.#places.of(entry, idleMsOf(entry, this.#deps.sleepAfterMs), this.#deps.registry.list());
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

  async #start(entry: ModelEntry, place: Place): Promise<EngineProcess> {
    const { clock, log } = this.#deps;
    place.slot = onStart(place.slot);
    log.info("loading", { model: entry.id, path: entry.path });
    try {
      if (place.leaving !== null) await place.leaving;
      const engine = await this.#deps.effects.startEngine(entry, this.#stopping.signal);
      place.slot = onReady(place.slot, clock.monotonicMs());
      place.engine = engine;
      place.error = null;
      const { loadMs, contextLength, parallel, devices } = engine.info;
      const ms = Math.round(loadMs);
      log.info("loaded", { model: entry.id, pid: engine.pid, ms, contextLength, parallel, devices });
      void engine.exited.then(() => this.#onExit(entry, place, engine));
      this.#watchIdle(entry, place, engine);
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

  #watchIdle(entry: ModelEntry, place: Place, engine: EngineProcess): void {
    const { clock, log } = this.#deps;
    if (this.#stopping.signal.aborted) return;
    place.sleep = new SleepTimer(clock, place.idleMs, engine.client, {
      flush: async () => {
        place.slept = await prepareSleep({ model: place.id, engine }, clock);
      },
      sleep: () => {
        if (place.engine !== engine) return;
        place.engine = null;
        place.idleMs = idleMsOf(entry, this.#deps.sleepAfterMs);
        place.slot = onSlept(place.slot);
        place.leaving = engine.stop().finally(() => {
          place.leaving = null;
        });
        log.info("asleep", { model: entry.id, pid: engine.pid });
      },
    });
  }

  #onExit(entry: ModelEntry, place: Place, engine: EngineProcess): void {
    // One that was put to sleep has left its place before it ended.
    if (place.engine !== engine) return;
    place.engine = null;
    place.idleMs = idleMsOf(entry, this.#deps.sleepAfterMs);
    place.sleep?.stop();
    if (engine.stopping) {
      place.slot = onStopped(place.slot);
      return;
    }
    place.slot = onDeath(place.slot, this.#deps.clock.monotonicMs());
    this.#deps.log.error("engine died", { model: entry.id, pid: engine.pid, deaths: place.slot.deaths });
  }
}
