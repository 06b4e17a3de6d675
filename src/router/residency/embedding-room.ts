// The memory of a context for embeddings, which an engine that generates makes when somebody embeds with it: counted with
// its engine from then on, where what is loaded leaves room for it. Nobody is evicted for it.

import type { ModelEntry } from "../../models/entry.ts";
import { AppError } from "../../protocol/errors.ts";
import { addNeeds } from "../../protocol/memory-need.ts";
import type { LoadedModelInfo } from "../../protocol/model-info.ts";
import type { MemoryEffects } from "./memory-effects.ts";
import type { Place } from "./place.ts";
import type { Places } from "./places.ts";
import { findShortage } from "./pools.ts";
import { explainNoEmbedding } from "./refusals.ts";
import { toResident } from "./tenure.ts";

/** Before the model's engine is asked to embed. Throws `plan_refused`: there is no room. No `memory`: there is room for all. */
export function countEmbedding(
  entry: ModelEntry,
  places: Places,
  memory: MemoryEffects | undefined,
  nowMs: number,
): void {
  const place = places.find(entry.engineKey);
  if (memory === undefined || place === null || place.tenure.embedding !== null) return;
  const need = memory.embeddingOf(entry);
  if (need === null) return;
  const bytes = memory.byPool(need);
  const residents = places.entries().flatMap(([key, one]) => toResident(key, one, nowMs) ?? []);
  const taken = residents.map((resident) => resident.bytes);
  const shortage = findShortage(bytes, taken, memory.budgets());
  if (shortage !== null) {
    const name = memory.pools()[shortage.pool] ?? "host";
    throw explainNoEmbedding(entry.id, { ...shortage, name, needBytes: bytes[shortage.pool] ?? 0 });
  }
  place.tenure.embedding = { need, bytes, isMade: false };
}

/** Its engine has embedded: what others were refused meanwhile may have taken the count back. */
export function keepEmbedding(entry: ModelEntry, places: Places, memory: MemoryEffects | undefined): void {
  const tenure = places.find(entry.engineKey)?.tenure;
  const need = tenure?.embedding?.need ?? memory?.embeddingOf(entry) ?? null;
  if (memory === undefined || tenure === undefined || need === null) return;
  tenure.embedding = { need, bytes: memory.byPool(need), isMade: true };
}

/** Before a context is made for it. */
const REFUSED: ReadonlySet<unknown> = new Set(["invalid_request", "context_length_exceeded"]);

/** The request failed. What its engine refused has made no context. */
export function dropEmbedding(entry: ModelEntry, places: Places, thrown: unknown): void {
  const tenure = places.find(entry.engineKey)?.tenure;
  const isRefused = thrown instanceof AppError && REFUSED.has(thrown.code);
  if (isRefused && tenure?.embedding?.isMade === false) tenure.embedding = null;
}

/** What its engine says of itself, and what that context takes besides. */
export function describeEngine({ engine, tenure }: Pick<Place, "engine" | "tenure">): LoadedModelInfo | null {
  const info = engine?.info ?? null;
  if (info === null || info.memoryNeed === null || tenure.embedding === null) return info;
  return { ...info, memoryNeed: addNeeds(info.memoryNeed, tenure.embedding.need) };
}
