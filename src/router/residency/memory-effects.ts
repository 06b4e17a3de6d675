// What the router asks about memory: its window to the machine for deciding who may stay. Types only; commands/ puts them
// together, and tests do without a machine.

import type { ModelEntry } from "../../models/entry.ts";
import type { MemoryNeed } from "../../protocol/memory-need.ts";
import type { Learned } from "../placement/deviation.ts";
import type { PoolBudgets, PoolBytes } from "./pools.ts";

export interface MemoryEffects {
  /** What the pools are called: the host's first, then devices. */
  pools(): readonly string[];
  /** Bytes that an engine of this model will take of each, the mapped ones of its file too. */
  needOf(entry: ModelEntry): Promise<PoolBytes>;
  /** What the first embedding adds to an engine of this model that generates; null: nothing, or it is not known. */
  embeddingOf(entry: ModelEntry): MemoryNeed | null;
  /** What an engine says that it took, of each. */
  byPool(need: MemoryNeed): PoolBytes;
  /** What loads of this model took in earlier times beside their plans; null: there were none, or it was not planned since the start. */
  learnedOf(modelId: string): Learned | null;
  /** Most bytes of each for all engines together, those that run among them. */
  budgets(): PoolBudgets;
  /** Has the system read the model's file, as far as there is memory that nobody needs. */
  readAhead(entry: ModelEntry, signal: AbortSignal): Promise<void>;
  /** What could be had now. */
  readFree(): Promise<FreeMemory>;
  /** Null: the system does not tell, or it is gone. */
  readProcess(pid: number): ProcessMemory | null;
}

export interface FreeMemory {
  hostBytes: number | null;
  devices: { id: string; freeBytes: number | null }[];
}

export interface ProcessMemory {
  /** Its own: nobody else can have it before it ends. */
  anonBytes: number;
  /** Of mapped files that are in memory, such as weights: the system may drop and read them again. */
  mappedBytes: number;
}

/** What came back when an engine had ended. */
export interface FreedMemory {
  /** What it had of its own; null: not known. */
  anonBytes: number | null;
  /** By how much more could be had after its end; others' changes are in it. Null: not known. */
  hostBytes: number | null;
  devices: { id: string; freedBytes: number }[];
}

export function compareFree(before: FreeMemory, after: FreeMemory, anonBytes: number | null): FreedMemory {
  const hostBytes = before.hostBytes === null || after.hostBytes === null ? null : after.hostBytes - before.hostBytes;
  const devices = after.devices.flatMap(({ id, freeBytes }) => {
    const then = before.devices.find((device) => device.id === id)?.freeBytes ?? null;
    return freeBytes === null || then === null ? [] : [{ id, freedBytes: freeBytes - then }];
  });
  return { anonBytes, hostBytes, devices };
}
