// The words of the planner: what is to be loaded, where it could go, what was asked for, and what comes of it. Types only;
// bytes are bytes, shares are of 1, times are seconds.

import type { LoadSettings, MemoryNeed } from "../../protocol/memory-need.ts";

/** All that a plan settles. */
export interface PlanSettings extends LoadSettings {
  /** Most memory of recurrent states that are kept at places of prompts; 0 for models that have none. */
  checkpointBytes: number;
  /** Whether the smaller model that guesses is loaded too. */
  draft: boolean;
}

/** What a flag, a request or a model file says: it is kept, or the plan is refused. What is absent is chosen. */
export type AskedSettings = { [K in keyof PlanSettings]?: PlanSettings[K] | undefined };

/** What settings are chosen for. */
export const PLAN_GOALS = ["balanced", "latency", "throughput", "memory"] as const;
export type PlanGoal = (typeof PLAN_GOALS)[number];

/** What one token reads and computes at one place. */
export interface PlaceWork {
  /** Weights that are read, of a mixture of experts those that are used. */
  weightsBytes: number;
  kvBytes: number;
  flops: number;
}

export interface TokenWork {
  host: PlaceWork;
  /** In the order of the devices. */
  devices: readonly PlaceWork[];
}

export interface PlanSubject {
  /** The model's id. */
  id: string;
  /** Without the output layer. */
  layers: number;
  /** Layers with experts; 0 = none has. */
  expertLayers: number;
  /** Null: not told. */
  trainedContextLength: number | null;
  isRecurrent: boolean;
  /** Its states are kept at places of prompts: a recurrent or hybrid memory. */
  hasCheckpoints: boolean;
  /** Encoders have no context to choose. */
  canGenerate: boolean;
  hasDraft: boolean;
  /** ggml's name of the type that most of its weights have; null: not known. */
  weightType: string | null;
  fileBytes: number;
  /**
   * The host's part, and what weights and cells take of all devices together, are the same for every `deviceShares`. Layers or
   * experts that leave devices never make the host's weights and cells less.
   */
  needOf(settings: PlanSettings): MemoryNeed;
  /** Of that in main memory what requests bring to an engine that is loaded, at most: a load does not take it. */
  useBytes(settings: PlanSettings): number;
  /** What the first embedding adds to a model that generates; null: it has no other context for that. */
  embeddingOf(settings: PlanSettings): MemoryNeed | null;
  /** Of a token with `depth` others before it; null: not known. */
  workOf(settings: PlanSettings, depth: number): TokenWork | null;
  /** The same model in other files that are here. */
  others: readonly PlanSubject[];
}

export interface PlanPool {
  /** As people know it, such as `main memory` or `CUDA0`. */
  name: string;
  totalBytes: number | null;
  /** Most that all models together may take of it; null: not known, so nothing is held against it. */
  budgetBytes: number | null;
  /** Where the budget comes from. */
  reason: string;
}

export interface PoolSpeed {
  /** By ggml's name of the type. */
  rates: readonly { type: string; bytesPerSecond: number; flopsPerSecond: number }[];
}

export interface PlanMachine {
  host: PlanPool;
  /** What computes besides the processor, in ggml's order. */
  devices: readonly PlanPool[];
  /** The devices' memory is the host's. */
  unified: boolean;
  /** Threads of an engine that is alone. */
  cores: number;
  /** Null: not measured. */
  speed: { host: PoolSpeed; devices: readonly PoolSpeed[]; diskBytesPerSecond: number | null } | null;
}

/** A model that is loaded. */
export interface Resident {
  id: string;
  need: MemoryNeed;
  /** It stays. */
  pinned: boolean;
  /** Requests that run or wait. */
  busy: boolean;
  idleSeconds: number;
  /** What loading it again takes; null: not known. */
  reloadSeconds: number | null;
}

export interface PlanPolicy {
  goal: PlanGoal;
  /** False: what was not asked for has its standard value, whether that fits or not. */
  automatic: boolean;
}

/** What a plan is asked about. */
export interface PlanQuestion {
  subject: PlanSubject;
  machine: PlanMachine;
  residents: readonly Resident[];
  asked: AskedSettings;
  policy: PlanPolicy;
}

/** A setting that was chosen below its standard, because that does not fit. */
export interface Lowered {
  setting: keyof PlanSettings;
  from: number | boolean;
  to: number | boolean;
}

export interface PredictedSpeed {
  /** Of one stream with an empty context, and with a full one; null: not known. */
  tokensPerSecond: number | null;
  fullTokensPerSecond: number | null;
  promptTokensPerSecond: number | null;
  /** From the disk, and from the system's page cache. */
  loadSeconds: number | null;
  cachedLoadSeconds: number | null;
}

export interface Placed {
  settings: PlanSettings;
  need: MemoryNeed;
  /** All of it: own, mapped, and of devices. */
  totalBytes: number;
  /** What the first embedding adds: counted when somebody embeds, if there is room then. Null: nothing. */
  embedding: MemoryNeed | null;
  lowered: readonly Lowered[];
  speed: PredictedSpeed;
  /** 0 is the best choice that there is, whatever the memory; a larger one is worse. */
  rank: number;
}

/** What is changed about a question; the rest stays. */
export interface PlanChange {
  /** Ids of residents that are unloaded first. */
  evict: readonly string[];
  asked: AskedSettings;
  /** Another file of the model in its place. */
  model: string | null;
  /** Memory that the machine would have to have besides. */
  moreBytes: { host: number; devices: readonly number[] } | null;
}

export const OPTION_KINDS = [
  "evict",
  "microBatchSize",
  "parallel",
  "retainedMax",
  "checkpointBytes",
  "draft",
  "contextLength",
  "kvType",
  "hostExpertLayers",
  "gpuLayers",
  "deviceShares",
  "quantization",
  "combined",
] as const;
export type OptionKind = (typeof OPTION_KINDS)[number];

/** One change with which it fits. */
export interface PlanOption {
  kind: OptionKind;
  change: PlanChange;
  /** What it costs, in words. */
  cost: string;
  placed: Placed;
}

/** What is missing with the settings that need the least more. */
export interface Shortfall {
  pool: string;
  neededBytes: number;
  /** What models that are loaded leave of the budget. */
  leftBytes: number;
}

export type Plan =
  | { verdict: "fits"; placed: Placed }
  | { verdict: "fits-if"; reason: string; short: readonly Shortfall[]; options: readonly [PlanOption, ...PlanOption[]] }
  /** `change`: the smallest with which it fits. */
  | { verdict: "refused"; reason: string; short: readonly Shortfall[]; change: PlanChange };
