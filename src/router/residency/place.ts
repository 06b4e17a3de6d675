// A model's engine, or where it stands without one, and waiting for one that others may wait for too. What becomes of it
// is decided in slot.ts and admission.ts, and done in residency.ts.

import type { ModelEntry } from "../../models/entry.ts";
import { AppError } from "../../protocol/errors.ts";
import type { EngineChanges } from "../../protocol/model-settings.ts";
import type { EngineProcess } from "../engines/engine-process.ts";
import type { SleptCache } from "../engines/slept-cache.ts";
import { NEW_SLOT, type Slot } from "../engines/slot.ts";
import type { SleepTimer } from "./sleep-timer.ts";
import { newTenure, type Tenure } from "./tenure.ts";

/** By which another file in the place of a model's is known. */
export type FileFacts = Pick<ModelEntry, "created" | "sizeBytes">;

export interface Place {
  /** As the listings called the model when it was last asked for: the key is its path. */
  id: string;
  /** What shapes its engine otherwise than the server's settings. */
  readonly settings: EngineChanges;
  slot: Slot;
  /** Of what its engine was started from; null: it had none yet. */
  file: FileFacts | null;
  engine: EngineProcess | null;
  starting: Promise<EngineProcess> | null;
  /** Ends the start; who comes from then on gets another one. Null: nothing starts. */
  giveUp: ((why: AppError) => void) | null;
  /** Why the last start failed; forgotten when one succeeds. */
  error: string | null;
  sleep: SleepTimer | null;
  /** How long its engine stays without requests; null: for ever. */
  idleMs: number | null;
  /** What a request asked for of it: ends with the engine. Null: nothing. */
  askedStay: { idleMs: number | null } | null;
  /** Of an engine that sleeps, or is about to. */
  slept: SleptCache | null;
  /** The end of an engine that was stopped: until then it still holds its memory. */
  leaving: Promise<void> | null;
  /** It is being found out what it takes. */
  weighing: boolean;
  /** When somebody wanted it last, by when the request came to the server; and when it was unloaded last. Null: never. */
  askedMs: number | null;
  unloadedMs: number | null;
  tenure: Tenure;
}

export function createPlace(id: string, settings: EngineChanges = {}): Place {
  return {
    id,
    settings,
    slot: NEW_SLOT,
    file: null,
    engine: null,
    starting: null,
    giveUp: null,
    error: null,
    sleep: null,
    idleMs: null,
    askedStay: null,
    slept: null,
    leaving: null,
    weighing: false,
    askedMs: null,
    unloadedMs: null,
    tenure: newTenure(),
  };
}

/** It has an engine, or the process of one: memory is taken. */
export function holdsMemory({ engine, starting, leaving }: Place): boolean {
  return (engine ?? starting ?? leaving) !== null;
}

/** What it has an engine for now came before the unload, such as a request whose engine died meanwhile. */
export function isUnloadedSince({ askedMs, unloadedMs }: Place): boolean {
  return unloadedMs !== null && (askedMs === null || askedMs < unloadedMs);
}

export function present<T>(value: T | null): T {
  if (value === null) throw new AppError({ code: "internal", message: "A slot and its engine disagree." });
  return value;
}

/** Waits for a start that others may wait for too; whoever leaves does not end it. */
export async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
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
