// What can be asked for with a load, and what is told of models in memory. Types only.

import type { BackendUse } from "../../protocol/backends.ts";
import type { EngineChanges } from "../../protocol/model-settings.ts";
import type { ModelCard } from "../inference.ts";
import type { Learned } from "../placement/deviation.ts";
import type { FreedMemory } from "./freed.ts";
import type { ProcessMemory } from "./memory-effects.ts";
import type { PoolBytes } from "./pools.ts";

export interface LoadOptions {
  /** Over what the model's own file says, until it is unloaded; absent: as they are now. */
  changes?: EngineChanges;
  /** What a plan chose beside all that was asked for, for as long; forgotten when the load fails. Absent: as it is now. */
  planned?: EngineChanges;
  /** How long its engine stays without requests; null: for ever. Absent: as it is now. */
  keepMs?: number | null;
  /** Once it is loaded, requests that name no model are for it. */
  becomesDefault?: boolean;
}

/** An unload that has begun. */
export interface Unloading {
  /** Loads that came before it, and were told that they are given up. */
  loadsGivenUp: number;
  /** Requests that came before it: they are answered first. */
  requestsAhead: number;
  /** Resolves when they are, and the model's processes are gone. */
  ended: Promise<Unloaded>;
}

export interface Unloaded {
  model: ModelCard;
  /** Null: it had no engine, or nothing is known of memory. */
  freed: FreedMemory | null;
}

/** `waiting`: for room. `draining`: it ends when its running requests have. */
export type ResidentState = "unloaded" | "waiting" | "loading" | "loaded" | "draining" | "asleep" | "failed";

export interface ResidentModel {
  id: string;
  state: ResidentState;
  /** What shapes its engine otherwise than the server's settings. */
  settings: EngineChanges;
  /** False: requests that come now are for an engine with other settings, and this one goes when its own have ended. */
  current: boolean;
  isDefault: boolean;
  pinned: boolean;
  priority: number;
  pid: number | null;
  backend: BackendUse | null;
  devices: string[];
  /** What it is planned to take, in the order of the pools; null: not known. */
  plannedBytes: PoolBytes | null;
  /** What its engine says that it took when it was loaded, in the same order; null: it has none, or does not say. */
  measuredBytes: PoolBytes | null;
  /** What its loads took beside their plans, with any settings; null: not known. */
  learned: Learned | null;
  /** Of its process; null: it has none, or the system does not tell. */
  memory: ProcessMemory | null;
  requests: { running: number; queued: number; waiting: number };
  /** Tokens a second since it was last asked, or since the load; null: nothing was computed. */
  tokensPerSecond: { prompt: number | null; generation: number | null };
  kv: { usedTokens: number; totalTokens: number } | null;
  sleepsInMs: number | null;
  /** Milliseconds since a request was given its engine; null: none ever was. */
  idleMs: number | null;
  loadMs: number | null;
  loads: number;
  evictions: number;
  /** When its last engine ended. */
  freed: FreedMemory | null;
  /** What was on disk of its prompts when its last engine ended; null: it has one, or it is not known. */
  kept: { sequences: number; tokens: number } | null;
  error: string | null;
}

export interface MemoryPool {
  name: string;
  /** Most bytes for all engines; null: no limit is known. */
  budgetBytes: number | null;
  /** What they are planned to take, those that still end among them. */
  plannedBytes: number;
}

export interface MemoryOverview {
  /** Main memory first, then each device. */
  pools: MemoryPool[];
  /** Engines that went for others. */
  swaps: number;
  models: ResidentModel[];
}
