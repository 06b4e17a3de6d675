// Which model's engine is started next, for whose room, and who may stay a while. Pure: those who wait and the engines that
// are there in, what to do out. What becomes of it is done in residency.ts.
//
// 1. Models wait in the order of their oldest request. The first gets room before the second is looked at, so that a small
//    model does not overtake a large one again and again.
// 2. A model that was loaded has a turn, a few times as long as its load took, and all that comes for it meanwhile is served:
//    requests are so grouped by model. A turn ends early when the model is idle, unless its next request is expected sooner
//    than a reload takes.
// 3. After its turn it may be closed for who waits: it takes no new requests, and those in it end. When others can make
//    room sooner, it opens again.
//
// So whoever waits gets an engine after at most one turn, one end of the running requests and one load for each model before.

import { chooseVictims, type Holder } from "./eviction.ts";
import type { PoolBudgets, PoolBytes } from "./pools.ts";

/** A model that requests wait for and that has no engine, in the order of its oldest request. */
export interface WaitingModel {
  key: string;
  needBytes: PoolBytes;
  /** Engines of it with older settings: they go for this one, pinned or not, and for nobody before it is known to have room. */
  replaces?: readonly string[];
}

/** An engine that holds memory, from its start to the end of its process. */
export interface Resident extends Omit<Holder, "standing"> {
  /** `closing`: for others' sake. `going`: its end has begun or was asked for. */
  phase: "loading" | "open" | "closing" | "going";
  /** When it could answer first. */
  readyMs: number;
  /** When its last request ended; null: it never had one, or one is there. */
  idleSinceMs: number | null;
  /** What its load took, or is thought to take. */
  reloadMs: number;
  /** How soon the next request usually comes when the last one has ended; null: not known. */
  gapMs: number | null;
}

export interface Step {
  start: string[];
  /** These take no new requests, and end when the running ones have. */
  close: string[];
  /** These are of older settings of a model that will have room: they end when they are idle. */
  leave: string[];
  /** These take requests again. */
  reopen: string[];
  /** No engine of these can ever have room. */
  refuse: { key: string; pool: number; bytesMax: number }[];
  /** When to look again, if nothing happens before. */
  wakeAtMs: number | null;
}

/** Loads are then a fifth of the time at most, while two models want the same memory. */
const TURN_LOADS = 4;
/** A reply to a short request and the next one take this long also where loads take nothing. */
const TURN_MS_MIN = 500;
/** Nobody waits longer than that for one of the others, whatever its load takes. */
const TURN_MS_MAX = 120_000;
/** The next request does not come to the millisecond. */
const GAP_SLACK_MS = 20;

/** No `budgets`: there is no limit. `waiting`: the first is the first. */
export function planStep(
  waiting: readonly WaitingModel[],
  residents: readonly Resident[],
  budgets: PoolBudgets,
  nowMs: number,
): Step {
  const step: Step = { start: [], close: [], leave: [], reopen: [], refuse: [], wakeAtMs: null };
  const holders = residents.map((resident) => toHolder(resident, nowMs));
  let wanted: readonly string[] = [];
  for (const { key, needBytes, replaces = [] } of waiting) {
    // Its own last engine has to be gone first, or to open again. It goes for others, who must not wait for it in turn.
    if (holders.some((holder) => holder.key === key)) continue;
    const others = holders.map((holder) =>
      replaces.includes(holder.key) ? { ...holder, standing: "going" as const } : holder,
    );
    const choice = chooseVictims(others, needBytes, budgets);
    if (choice.kind === "refused") {
      step.refuse.push({ key, pool: choice.pool, bytesMax: choice.bytesMax });
      continue;
    }
    step.leave.push(...replaces);
    if (choice.kind === "fits") {
      step.start.push(key);
      holders.push({ ...NEWCOMER, key, bytes: needBytes });
      continue;
    }
    if (choice.kind === "evict") wanted = choice.keys;
    else step.wakeAtMs = findNextEnd(residents, nowMs);
    break;
  }
  step.close = wanted.filter((key) => residents.some((resident) => resident.key === key && resident.phase === "open"));
  const closing = residents.filter(({ phase }) => phase === "closing");
  step.reopen = closing.map(({ key }) => key).filter((key) => !wanted.includes(key));
  return step;
}

const NEWCOMER: Omit<Holder, "key" | "bytes"> = {
  pinned: false,
  priority: 0,
  running: 0,
  worth: 0,
  lastUsedMs: 0,
  standing: "held",
};

function toHolder(resident: Resident, nowMs: number): Holder {
  return { ...resident, standing: standingOf(resident, nowMs) };
}

function standingOf(resident: Resident, nowMs: number): Holder["standing"] {
  switch (resident.phase) {
    case "loading":
      return "held";
    case "open":
      return heldUntilMs(resident) > nowMs ? "held" : "open";
    case "closing":
    case "going":
      return resident.phase;
  }
}

/** Until then it is not closed for others. */
export function heldUntilMs({
  readyMs,
  reloadMs,
  running,
  idleSinceMs,
  gapMs,
}: Omit<Resident, keyof Holder> & Pick<Resident, "running">): number {
  const turnEndMs = readyMs + Math.min(Math.max(TURN_LOADS * reloadMs, TURN_MS_MIN), TURN_MS_MAX);
  if (running > 0) return turnEndMs;
  if (idleSinceMs === null || gapMs === null || gapMs > reloadMs / 2) return readyMs;
  return Math.min(turnEndMs, idleSinceMs + Math.min(3 * gapMs + GAP_SLACK_MS, reloadMs));
}

function findNextEnd(residents: readonly Resident[], nowMs: number): number | null {
  const ends = residents.flatMap((resident) => (resident.phase === "open" ? heldUntilMs(resident) : []));
  const coming = ends.filter((endMs) => endMs > nowMs);
  return coming.length === 0 ? null : Math.min(...coming);
}

/** The usual time between the end of a model's last request and its next one, with one more of them. */
export function updateGap(gapMs: number | null, seenMs: number): number {
  return gapMs === null ? seenMs : (gapMs + seenMs) / 2;
}
