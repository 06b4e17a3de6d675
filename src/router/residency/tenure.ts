// What a model's place has to do with memory, and for how long: notes of requests and loads, from which admission.ts decides.
// Pure but for the notes themselves. Times are the monotonic clock's.

import type { MemoryNeed } from "../../protocol/memory-need.ts";
import { type Resident, updateGap } from "./admission.ts";
import type { Draining } from "./draining.ts";
import { worthOf } from "./eviction.ts";
import type { FreedMemory } from "./freed.ts";
import type { Place } from "./place.ts";
import { addPools, type PoolBytes, sumPools } from "./pools.ts";

export interface CountedEmbedding {
  need: MemoryNeed;
  bytes: PoolBytes;
  /** Somebody had an answer: until then the context may never be made. */
  isMade: boolean;
}

export interface Tenure {
  /** What an engine takes; null: not known yet. */
  needBytes: PoolBytes | null;
  /** Of its engine's context for embeddings, once somebody embeds with a model that generates. */
  embedding: CountedEmbedding | null;
  /** Its engine takes no new requests: for others' sake, or because somebody asked for its end. */
  closing: { why: "room" | "asked"; draining: Draining } | null;
  pinned: boolean;
  priority: number;
  /** When its engine could answer first. */
  readyMs: number;
  /** When its last request ended, also with an engine before; null: it never had one, or one is there. */
  idleSinceMs: number | null;
  /** Null: nobody has asked for it yet. */
  lastUsedMs: number | null;
  /** The requests that its engine had had when it was last given to one. */
  sentBefore: number;
  /** What its last load took; null: it had none. */
  loadMs: number | null;
  gapMs: number | null;
  /** See eviction.ts. */
  worth: number;
  loads: number;
  /** How often it went for others. */
  evictions: number;
  /** Of its last engine. */
  freed: FreedMemory | null;
  /** Why it was refused before it was started, such as for want of room, when it was last asked for. */
  refusal: string | null;
}

export function newTenure(): Tenure {
  return {
    needBytes: null,
    embedding: null,
    closing: null,
    pinned: false,
    priority: 0,
    readyMs: 0,
    idleSinceMs: null,
    lastUsedMs: null,
    sentBefore: 0,
    loadMs: null,
    gapMs: null,
    worth: 0,
    loads: 0,
    evictions: 0,
    freed: null,
    refusal: null,
  };
}

/** What its engine may take by now; null: not known. */
export function heldBytes({ needBytes, embedding }: Tenure): PoolBytes | null {
  if (needBytes === null || embedding === null) return needBytes;
  return addPools([needBytes, embedding.bytes], Math.max(needBytes.length, embedding.bytes.length));
}

/** What was given an engine has sent its request before this, or never will. */
const SEND_MS_MAX = 50;
/** Of a load that was never measured: a disk that reads a gigabyte a second, and the start of a process. */
const BYTES_PER_MS = 1e6;
const START_MS = 200;

function reloadMsOf({ loadMs, needBytes }: Tenure): number {
  return loadMs ?? START_MS + sumPools(needBytes ?? []) / BYTES_PER_MS;
}

/** Somebody asks for the model. */
export function noteArrival({ tenure }: Place, nowMs: number): void {
  if (tenure.idleSinceMs === null) return;
  tenure.gapMs = updateGap(tenure.gapMs, nowMs - tenure.idleSinceMs);
  tenure.idleSinceMs = null;
}

/** Its engine is given to a request. `level`: see eviction.ts. */
export function noteGrant({ tenure, engine }: Place, level: number, nowMs: number): void {
  tenure.lastUsedMs = nowMs;
  tenure.sentBefore = engine?.client.sentCount ?? 0;
  tenure.worth = worthOf(level, { reloadMs: reloadMsOf(tenure), bytes: sumPools(tenure.needBytes ?? []) });
}

/** Null: it holds no memory. */
export function toResident(key: string, place: Place, nowMs: number): Resident | null {
  const { tenure, engine, starting, leaving } = place;
  if (engine === null && starting === null && leaving === null) return null;
  const { client } = engine ?? {};
  const isGiven = nowMs - (tenure.lastUsedMs ?? nowMs - SEND_MS_MAX) < SEND_MS_MAX;
  const running = client === undefined ? 0 : client.openCount;
  return {
    key,
    bytes: heldBytes(tenure) ?? [],
    pinned: tenure.pinned,
    priority: tenure.priority,
    running: running === 0 && isGiven && client?.sentCount === tenure.sentBefore ? 1 : running,
    worth: tenure.worth,
    lastUsedMs: tenure.lastUsedMs ?? 0,
    phase: phaseOf(place),
    readyMs: tenure.readyMs,
    idleSinceMs: tenure.idleSinceMs,
    reloadMs: reloadMsOf(tenure),
    gapMs: tenure.gapMs,
  };
}

function phaseOf({ tenure, starting, engine }: Place): Resident["phase"] {
  if (starting !== null) return "loading";
  if (engine === null || tenure.closing?.why === "asked") return "going";
  return tenure.closing === null ? "open" : "closing";
}
