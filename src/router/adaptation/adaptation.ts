// How far an engine is lowered, and when: a ladder that is climbed quickly under pressure and left slowly. Batch first, then
// parallelism, then what is kept of prompts. Pure: judgements, time and the state before in; the next state and the limits
// out. What is set explicitly stays unless the policy says otherwise.

import type { EngineLimits } from "../../protocol/messages.ts";
import type { Cause, Judgement } from "./pressure.ts";

/** What may be done without being asked. */
export interface AdaptationPolicy {
  /** Off: nothing is lowered. */
  autoOptimization: boolean;
  thermalThrottling: boolean;
  powerManagement: boolean;
  /** Also what was set by a flag, a variable, or a model's file. */
  lowersExplicit: boolean;
}

export type Lowerable = "batch" | "parallel" | "cache";

/** An engine as it was loaded. */
export interface Adaptable {
  /** Most rows of a step. */
  batchSize: number;
  parallel: number;
  retainedMax: number;
  /** Of these somebody set the value. */
  explicit: ReadonlySet<Lowerable>;
}

export interface AdaptationState {
  /** 0: as it was loaded. */
  level: number;
  /** When it was last raised, by the clock. */
  raisedMs: number;
  /** Since when nothing speaks against going down from here; null: something does. */
  calmSinceMs: number | null;
}

/** One thing that is less than it was, or would be. */
export interface Lowered {
  what: Lowerable;
  from: number;
  to: number;
  /** In words, with the reason. */
  words: string;
}

export const LEVEL_MAX = 6;
export const UNLOWERED: AdaptationState = { level: 0, raisedMs: Number.NEGATIVE_INFINITY, calmSinceMs: null };

/** Two looks at the machine: what helped shows by then. */
export const RAISE_MS = 5_000;
/** A build or a video in the background comes and goes in less. */
export const CALM_MS = 60_000;
/** Vectors of the kernels have so many rows: less is no gain. */
export const ROWS_MIN = 16;

/**
 * How far each cause may go. Heat and battery are not helped by keeping less of prompts, which then have to be read again;
 * nor is a device's memory, where llama.cpp holds the whole KV cache from the load on. On battery nothing gets better by
 * waiting, so the ladder would be climbed to its end: it ends where the machine is still pleasant to use.
 */
const LEVELS: Record<Cause, number> = { memory: LEVEL_MAX, "device-memory": 4, heat: 4, battery: 3 };

/** Shares of a batch, for levels 1 and up: each halves what a step holds at once more than once. */
const ROW_SHARES = [1 / 4, 1 / 16];
/** Shares of the places, for levels 3 and up, and most places there: an automatic engine has more than anybody uses. */
const PLACES = [
  { share: 1 / 2, max: 8 },
  { share: 1 / 4, max: 2 },
];
/** Shares of what is kept, for levels 5 and up. */
const CACHE_SHARES = [1 / 2, 0];
const FIRST: Record<Lowerable, number> = { batch: 1, parallel: 3, cache: 5 };

/** The state after these judgements. */
export function adapt(
  state: AdaptationState,
  judgements: readonly Judgement[],
  nowMs: number,
  policy: AdaptationPolicy,
): AdaptationState {
  if (!policy.autoOptimization) return UNLOWERED;
  const raised = raise(state, judgements, nowMs);
  if (raised > state.level) return { level: raised, raisedMs: nowMs, calmSinceMs: null };
  if (state.level === 0 || !isCalmAt(state.level, judgements)) return { ...state, calmSinceMs: null };
  const calmSinceMs = state.calmSinceMs ?? nowMs;
  if (nowMs - calmSinceMs < CALM_MS) return { ...state, calmSinceMs };
  // Each level has its own time: what comes back may bring the pressure back.
  return { ...state, level: state.level - 1, calmSinceMs: nowMs };
}

/** What the engine may use at this level. Never less than what serves. */
export function limitsAt(level: number, engine: Adaptable, policy: AdaptationPolicy): EngineLimits {
  const isLowered = (what: Lowerable): boolean => policy.lowersExplicit || !engine.explicit.has(what);
  return lowerTo(level, engine, isLowered);
}

/** What is lowered at this level. */
export function listLowered(
  level: number,
  engine: Adaptable,
  judgements: readonly Judgement[],
  policy: AdaptationPolicy,
): Lowered[] {
  return compareLimits(engine, limitsAt(level, engine, policy), (what, from, to) => {
    const set = engine.explicit.has(what) ? ", though it was set," : "";
    return `${NAMES[what]} is lowered${set} from ${from} to ${to}: ${sayReasons(what, judgements)}`;
  });
}

/** What would be lowered at this level if it had not been set explicitly. */
export function listSpared(level: number, engine: Adaptable, policy: AdaptationPolicy): Lowered[] {
  if (policy.lowersExplicit) return [];
  const limits = lowerTo(level, engine, (what) => engine.explicit.has(what));
  return compareLimits(engine, limits, (what, from) => {
    return `${NAMES[what]} stays at ${from} because it was set; with --lower-explicit it would be lowered`;
  });
}

const NAMES: Record<Lowerable, string> = {
  batch: "Prompt rows of a step",
  parallel: "Sequences at once",
  cache: "Ended sequences kept in memory",
};

function raise({ level, raisedMs }: AdaptationState, judgements: readonly Judgement[], nowMs: number): number {
  let next = level;
  for (const { cause, pressure } of judgements) {
    if (pressure === "critical") next = Math.max(next, LEVELS[cause]);
    if (pressure === "high" && nowMs - raisedMs >= RAISE_MS) next = Math.max(next, Math.min(level + 1, LEVELS[cause]));
  }
  return next;
}

/** Nobody who could have asked for this level needs it. */
function isCalmAt(level: number, judgements: readonly Judgement[]): boolean {
  return judgements.every(({ cause, pressure }) => pressure === "calm" || LEVELS[cause] < level);
}

function lowerTo(level: number, engine: Adaptable, isLowered: (what: Lowerable) => boolean): EngineLimits {
  const { batchSize, parallel } = engine;
  const at = <T>(what: Lowerable, steps: readonly T[]): T | null => {
    if (!isLowered(what) || level < FIRST[what]) return null;
    return steps[Math.min(level - FIRST[what], steps.length - 1)] ?? null;
  };
  const rows = at("batch", ROW_SHARES);
  const places = at("parallel", PLACES);
  return {
    promptRows: rows === null ? batchSize : Math.min(batchSize, Math.max(ROWS_MIN, Math.floor(batchSize * rows))),
    places: places === null ? parallel : Math.max(1, Math.min(Math.ceil(parallel * places.share), places.max)),
    cacheShare: at("cache", CACHE_SHARES) ?? 1,
  };
}

function compareLimits(
  { batchSize, parallel, retainedMax }: Adaptable,
  { promptRows, places, cacheShare }: EngineLimits,
  say: (what: Lowerable, from: number, to: number) => string,
): Lowered[] {
  const all: [Lowerable, number, number][] = [
    ["batch", batchSize, promptRows],
    ["parallel", parallel, places],
    ["cache", retainedMax, Math.floor(retainedMax * cacheShare)],
  ];
  return all
    .filter(([, from, to]) => to < from)
    .map(([what, from, to]) => ({ what, from, to, words: say(what, from, to) }));
}

/** Of the causes that lower this. */
function sayReasons(what: Lowerable, judgements: readonly Judgement[]): string {
  const pressing = judgements.filter(({ cause, pressure }) => pressure !== "calm" && LEVELS[cause] >= FIRST[what]);
  if (pressing.length === 0) return "the cause is over, and it comes back step by step";
  return pressing.map(({ reason }) => reason).join("; ");
}
