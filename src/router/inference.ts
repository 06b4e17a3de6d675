// The router as the API sees it: models, generations, embeddings, health. Types only.

import type { FoundPlace } from "../models/found.ts";
import type { Described } from "../models/model-file/described.ts";
import type { Removal } from "../models/removal.ts";
import type { BackendUse } from "../protocol/backends.ts";
import type {
  CacheReport,
  EmbeddingInput,
  EmbeddingResult,
  GenerationEvent,
  GenerationRequest,
} from "../protocol/generation.ts";
import type { LoraAdapter, LoraScale } from "../protocol/lora.ts";
import type { CacheEntry, Capabilities, EngineStats, LoadedModelInfo, Pooling } from "../protocol/model-info.ts";
import type { TextAnswer, TextQuestion } from "../protocol/text-question.ts";
import type { LoadOptions, MemoryOverview, Unloading } from "./residency/loading.ts";

/** `asleep`: its engine was stopped because nobody asked, and the next request starts it again. */
export type ModelState = "unloaded" | "loading" | "loaded" | "asleep" | "failed";

/** A model as listings show it. Unknown is null, never a guess. */
export interface ModelCard {
  id: string;
  /** Other names that resolve to it. */
  aliases: string[];
  /** Those of the aliases that a person gave: in the configuration, or with a copy. */
  givenNames: string[];
  path: string;
  /** Models with the same one can share an engine. */
  engineKey: string;
  /** What its model file calls it; null: nothing. */
  displayName: string | null;
  place: FoundPlace;
  /** What its model file says; null: none describes it. */
  described: Described | null;
  /** Its engine is not put to sleep. */
  pinned: boolean;
  /** Seconds since the epoch: the file's modification time. */
  created: number;
  sizeBytes: number;
  architecture: string | null;
  /** Such as `Q4_K_M`. */
  quantization: string | null;
  /** Files that go with it: projectors, draft models, adapters. */
  companions: { kind: string; name: string; sizeBytes: number }[];
  parameterCount: number | null;
  trainedContextLength: number | null;
  /** Most tokens of one request, known before the load from `--ctx` and the metadata. */
  contextLength: number | null;
  capabilities: Capabilities;
  /** What embeddings of this model use: `--pooling`, its own, or `last` for a chat model without one. */
  embeddingPooling: Pooling | null;
  /** The pooling that the file itself names. */
  ownPooling: Pooling | null;
  /** It is that of `--pooling`. */
  poolingIsSet: boolean;
  state: ModelState;
  /** Milliseconds until its engine is stopped if nobody asks; null: it has none, or it stays. */
  sleepsInMs: number | null;
  /** Of a folder of weights: whether the file to serve is made of it already. Null: it is served as it is. */
  conversion: "needed" | "done" | null;
  /** Why the last load failed, when it did. */
  error: string | null;
  /** True for the embedded demo model; listings label it. */
  demo: boolean;
  /** Is this the model of requests that name none. */
  isDefault: boolean;
  /** Where its engine computes; null: it has none. */
  backend: BackendUse | null;
  info: LoadedModelInfo | null;
}

export interface Generation {
  model: ModelCard;
  promptTokens: number;
  /** Null: the request still queues, so it is not known yet. */
  cache: CacheReport | null;
  /** Deltas, then one terminal event. Errors arrive as events; the iteration itself does not throw. */
  events: AsyncIterable<GenerationEvent>;
}

export interface BackendHealth {
  available: boolean;
  /** An engine is up, or one can be started. */
  ready: boolean;
  details: string;
}

/** What is not as it should be, though requests are served. */
export interface Trouble {
  /** The model or device that it is about; null: the server. */
  subject: string | null;
  reason: string;
  /** What mends it. */
  fix: string;
}

export interface Health {
  /** `degraded` when there are troubles. */
  status: "healthy" | "degraded" | "unhealthy";
  troubles: Trouble[];
  backends: { llamacpp: BackendHealth };
}

export interface EngineReport {
  model: string;
  pid: number;
  state: ModelState;
  info: LoadedModelInfo | null;
  stats: EngineStats | null;
}

export interface BackendInfo {
  version: string;
  llamaCpp: { version: string; commit: string };
  /** Backend plug-ins in load order, and variants that were skipped, with the reason. */
  plugins: string[];
  skippedPlugins: { file: string; reason: string }[];
  engines: EngineReport[];
}

/** What engines keep of prompts, and sleeping ones have left on disk. One that does not answer in time is left out. */
export interface CacheOverview {
  entries: (CacheEntry & { model: string })[];
  models: ({ model: string; state: ModelState } & Pick<
    EngineStats,
    "retained" | "kvStore" | "evaluatedTokens" | "reusedTokens"
  >)[];
}

export interface Inference {
  listModels(): ModelCard[];
  /** Name, alias, `default`, `auto-select` or absent → card. Throws `model_not_found`. */
  resolveModel(name: string | undefined): ModelCard;
  /** Resolves once the engine has accepted the prompt, so that a refusal precedes any byte of a stream. */
  generate(model: string | undefined, request: GenerationRequest, signal: AbortSignal): Promise<Generation>;
  embed(
    model: string | undefined,
    inputs: EmbeddingInput[],
    signal: AbortSignal,
  ): Promise<EmbeddingResult & { model: ModelCard }>;
  /** Starts the model's engine if it has none, once there is room. Resolves when it can answer. Throws `plan_refused` where there never is. */
  load(model: string | undefined, signal: AbortSignal, options?: LoadOptions): Promise<ModelCard>;
  /** Ends the model's engines when the requests that came before have ended; loads that came before are given up. Throws `model_not_found`. */
  unload(model: string): Unloading;
  /** Of the models that were ever asked for, and of engines whose settings nobody has any more. */
  status(): Promise<MemoryOverview>;
  /** How long the model's engine stays without requests: 0 = not at all, null = for ever. Of one without an engine, and of a pinned one: nothing. */
  keepFor(model: Pick<ModelCard, "id" | "engineKey" | "pinned">, idleMs: number | null): void;
  /** A further name of a model, kept across restarts. Throws `model_not_found`, and `invalid_request` for a name in use. */
  addAlias(model: string, alias: string): void;
  /** Takes back a name that `addAlias` gave, or deletes a model file or a model of the server's own folder. Throws `forbidden` for others. */
  remove(name: string): Removal["kind"];
  /** Gives a file of the own folder, or a name that `addAlias` gave, another name: the model's id then. Throws `forbidden` for others. */
  rename(model: string, name: string): string;
  /** Whether the model's engine stays when nobody asks; kept across restarts. */
  pin(model: string, pinned: boolean): ModelCard;
  /** What the model's vocabulary or template says of a text. */
  tell(model: string | undefined, question: TextQuestion, signal: AbortSignal): Promise<TextAnswer>;
  health(): Health;
  backendInfo(): Promise<BackendInfo>;
  cache(): Promise<CacheOverview>;
  /** Of the default model, with the scales of requests that name none. */
  listAdapters(): readonly LoraAdapter[];
  /** All those scales anew. Throws `invalid_request`. */
  setAdapterScales(scales: readonly LoraScale[]): void;
}
