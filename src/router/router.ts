// Which engine answers: names to models, models to engines. Which models have engines, and for how long, is residency.ts; here
// is what the API asks.

import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { ModelEntry } from "../models/entry.ts";
import type { ModelRegistry } from "../models/registry.ts";
import type { Removal } from "../models/removal.ts";
import type { EmbeddingInput, EmbeddingResult, GenerationRequest } from "../protocol/generation.ts";
import type { LoraAdapter, LoraScale } from "../protocol/lora.ts";
import type { TextAnswer, TextQuestion } from "../protocol/text-question.ts";
import type { SkippedPlugin } from "./backends/plugins.ts";
import { type AdapterOptions, Adapters } from "./engines/adapters.ts";
import { CrashTable } from "./engines/crash-policy.ts";
import { EngineCall, type EngineCallOptions } from "./engines/engine-call.ts";
import type { EngineProcess } from "./engines/engine-process.ts";
import { type NamedEngine, reportCache, reportEngine } from "./engines/engine-report.ts";
import type { SleptState } from "./engines/slept-cache.ts";
import { NEW_SLOT } from "./engines/slot.ts";
import { describeHealth, type TroubleSource } from "./health.ts";
import type { BackendInfo, CacheOverview, Generation, Health, Inference, ModelCard } from "./inference.ts";
import { type CardSettings, toCard } from "./model-card.ts";
import { assertAllowed, fillDefaults, isRankInput, settingsOf } from "./model-settings.ts";
import { countEmbedding, describeEngine, dropEmbedding, keepEmbedding } from "./residency/embedding-room.ts";
import type { LoadOptions, MemoryOverview, Unloading } from "./residency/loading.ts";
import { Loads } from "./residency/loads.ts";
import type { MemoryEffects } from "./residency/memory-effects.ts";
import { Residency } from "./residency/residency.ts";
import { StatusReport } from "./status-report.ts";

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
}

export interface RouterDependencies {
  registry: ModelRegistry;
  effects: RouterEffects;
  facts: RouterFacts;
  log: Logger;
  clock: Clock;
  /** An engine without requests for this long is stopped; 0 = never. */
  sleepAfterMs: number;
  /** Absent: there is room for all models. */
  memory?: MemoryEffects;
  /** Absent: there are none. */
  adapters?: AdapterOptions;
  /** What else health tells of; absent: nothing. */
  troubles?: readonly TroubleSource[];
}

/** As in the engines: batch requests stand as if they had come so much later. */
const BATCH_MS = 30_000;

export class Router implements Inference {
  readonly #deps: RouterDependencies;
  readonly #residency: Residency;
  readonly #loads: Loads;
  readonly #status: StatusReport;
  readonly #crashes = new CrashTable();
  readonly #adapters: Adapters;

  constructor(deps: RouterDependencies) {
    this.#deps = deps;
    this.#residency = new Residency({ ...deps, ...deps.effects, listed: () => this.#list() });
    this.#loads = new Loads({ ...deps, residency: this.#residency });
    this.#status = new StatusReport(this.#residency, deps);
    this.#adapters = new Adapters(deps.adapters ?? { modelPath: "", adapters: [] });
  }

  listModels(): ModelCard[] {
    return this.#list().map((entry) => this.#card(entry));
  }

  resolveModel(name: string | undefined): ModelCard {
    return this.#card(this.#resolve(name));
  }

  async generate(model: string | undefined, request: GenerationRequest, signal: AbortSignal): Promise<Generation> {
    const entry = this.#resolve(model);
    assertAllowed(entry, request.prompt.kind === "chat" ? "chat" : "completion");
    const adapted = this.#adapters.apply(entry, fillDefaults(entry, request));
    const accepted = await EngineCall.generate(adapted, this.#callOptions(entry, signal, request.priority === "batch"));
    return { model: this.#card(entry), ...accepted };
  }

  async embed(
    model: string | undefined,
    inputs: EmbeddingInput[],
    signal: AbortSignal,
  ): Promise<EmbeddingResult & { model: ModelCard }> {
    const entry = this.#resolve(model);
    assertAllowed(entry, inputs.some(isRankInput) ? "rerank" : "embedding");
    const { memory, clock } = this.#deps;
    const { places } = this.#residency;
    const options = this.#callOptions(entry, signal);
    const findEngine = async (): Promise<EngineProcess> => {
      const engine = await options.findEngine();
      countEmbedding(entry, places, memory, clock.monotonicMs());
      return engine;
    };
    try {
      const result = await EngineCall.embed(inputs, { ...options, findEngine });
      keepEmbedding(entry, places, memory);
      return { ...result, model: this.#card(entry) };
    } catch (thrown) {
      dropEmbedding(entry, places, thrown);
      throw thrown;
    }
  }

  async load(model: string | undefined, signal: AbortSignal, options: LoadOptions = {}): Promise<ModelCard> {
    return this.#card(await this.#loads.load(model, signal, options));
  }

  unload(model: string): Unloading {
    const listed = this.#deps.registry.resolve(model);
    const { freed, ...counts } = this.#loads.unload(listed);
    return { ...counts, ended: freed.then((bytes) => ({ model: this.#card(listed), freed: bytes })) };
  }

  /** With the settings that its load was asked for; what a plan chose for it is left out. */
  asAsked(entry: ModelEntry): ModelEntry {
    return this.#loads.changes.applyAsked(entry);
  }

  /** An engine starts or ends. */
  get isMoving(): boolean {
    return this.#residency.isMoving;
  }

  async status(): Promise<MemoryOverview> {
    const keys = new Set(this.#list().map(({ engineKey }) => engineKey));
    return await this.#status.take(this.#deps.registry.defaultEntry()?.id ?? null, keys);
  }

  /** Files of models may have changed: engines of those that are gone, or others now, go when they are idle. */
  noteFileChanges(): void {
    this.#residency.noteFileChanges();
  }

  keepFor(model: Pick<ModelCard, "id" | "engineKey" | "pinned">, idleMs: number | null): void {
    this.#residency.keepFor(model, idleMs);
  }

  addAlias(model: string, alias: string): void {
    this.#deps.registry.addAlias(model, alias);
  }

  remove(name: string): Removal["kind"] {
    const { kind, path } = this.#deps.registry.remove(name);
    if (path !== null) this.#residency.places.leave(path);
    return kind;
  }

  rename(model: string, name: string): string {
    const { id, path } = this.#deps.registry.rename(model, name);
    if (path !== null) this.#residency.places.leave(path);
    return id;
  }

  pin(model: string, pinned: boolean): ModelCard {
    const entry = this.#loads.changes.apply(this.#deps.registry.pin(model, pinned));
    this.#residency.noteChange(entry);
    return this.#card(entry);
  }

  async tell(model: string | undefined, question: TextQuestion, signal: AbortSignal): Promise<TextAnswer> {
    return await EngineCall.tell(question, this.#callOptions(this.#resolve(model), signal));
  }

  health(): Health {
    const others = (this.#deps.troubles ?? []).flatMap((list) => list());
    return describeHealth(this.#residency.places.all(), this.#deps.facts, this.#deps.clock.monotonicMs(), others);
  }

  async backendInfo(): Promise<BackendInfo> {
    const { version, llamaCpp, plugins, skippedPlugins } = this.#deps.facts;
    const engines = await Promise.all(this.#running().map((engine) => reportEngine(engine, this.#deps.clock)));
    return { version, llamaCpp, plugins, skippedPlugins, engines };
  }

  async cache(): Promise<CacheOverview> {
    const slept = this.#residency.places.all().flatMap(({ engine, slot, slept: cache }) => {
      const state: SleptState = slot.kind === "asleep" ? "asleep" : "unloaded";
      return engine !== null || cache === null ? [] : [{ cache, state }];
    });
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
    await this.#residency.stop(graceful);
  }

  #running(): NamedEngine[] {
    return this.#residency.places.all().flatMap(({ id, engine }) => (engine === null ? [] : [{ model: id, engine }]));
  }

  #list(): ModelEntry[] {
    return this.#deps.registry.list().map((entry) => this.#loads.changes.apply(entry));
  }

  #resolve(name: string | undefined): ModelEntry {
    return this.#loads.changes.apply(this.#deps.registry.resolve(name));
  }

  #callOptions(entry: ModelEntry, signal: AbortSignal, isBatch = false): EngineCallOptions {
    // Once for all its engines: who has to go to another one does not stand at the end of the line again.
    const sinceMs = this.#deps.clock.monotonicMs() + (isBatch ? BATCH_MS : 0);
    return {
      modelId: entry.id,
      modelPath: entry.path,
      crashes: this.#crashes,
      clock: this.#deps.clock,
      signal,
      findEngine: () => this.#residency.engineFor(entry, signal, sinceMs),
    };
  }

  #card(entry: ModelEntry): ModelCard {
    const place = this.#residency.places.find(entry.engineKey);
    const isDefault = this.#deps.registry.defaultEntry()?.id === entry.id;
    const info = place === null ? null : describeEngine(place);
    return toCard(
      entry,
      {
        slot: place?.slot ?? NEW_SLOT,
        waits: this.#residency.line.has(entry.engineKey),
        error: place?.error ?? null,
        info,
        backend: place?.engine?.backend ?? null,
        isDefault,
        sleepsInMs: place?.sleep?.leftMs ?? null,
      },
      settingsOf(entry, this.#deps.facts),
    );
  }
}
