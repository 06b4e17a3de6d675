// What is told of models in memory: live figures of each engine. Remembers the last figures of each, for what is told by the
// second. Asks engines, and changes nothing.

import type { Clock } from "../lib/clock.ts";
import type { EngineStats } from "../protocol/model-info.ts";
import { reportEngine } from "./engines/engine-report.ts";
import type { MemoryOverview, ResidentModel, ResidentState } from "./residency/loading.ts";
import type { MemoryEffects } from "./residency/memory-effects.ts";
import type { Place } from "./residency/place.ts";
import { addPools } from "./residency/pools.ts";
import type { Residency } from "./residency/residency.ts";
import { heldBytes } from "./residency/tenure.ts";

type Counts = Pick<EngineStats, "decodedTokens" | "evaluatedTokens"> & { stepMs: number };

export class StatusReport {
  readonly #residency: Residency;
  readonly #memory: MemoryEffects | undefined;
  readonly #clock: Clock;
  /** By process. */
  #last = new Map<number, { counts: Counts; rates: ResidentModel["tokensPerSecond"] }>();

  constructor(residency: Residency, { memory, clock }: { memory?: MemoryEffects; clock: Clock }) {
    this.#residency = residency;
    this.#memory = memory;
    this.#clock = clock;
  }

  /** Of all models that were ever asked for. */
  async take(defaultId: string | null): Promise<MemoryOverview> {
    const places = this.#residency.places.entries();
    const models = await Promise.all(places.map(([key, place]) => this.#describe(key, place, defaultId)));
    const pids = new Set(models.map(({ pid }) => pid));
    for (const pid of this.#last.keys()) if (!pids.has(pid)) this.#last.delete(pid);
    const holding = places.filter(([, { engine, starting, leaving }]) => (engine ?? starting ?? leaving) !== null);
    const names = this.#memory?.pools() ?? [];
    const planned = addPools(
      holding.map(([, { tenure }]) => heldBytes(tenure) ?? []),
      names.length,
    );
    const { budgets } = this.#residency;
    return {
      pools: names.map((name, pool) => {
        return { name, budgetBytes: budgets[pool] ?? null, plannedBytes: planned[pool] ?? 0 };
      }),
      swaps: models.reduce((sum, { evictions }) => sum + evictions, 0),
      models,
    };
  }

  async #describe(key: string, place: Place, defaultId: string | null): Promise<ResidentModel> {
    const { engine, tenure, id } = place;
    const stats = engine === null ? null : (await reportEngine({ model: id, engine }, this.#clock)).stats;
    const running = stats?.running ?? engine?.client.openCount ?? 0;
    const { lastUsedMs } = tenure;
    const need = engine?.info.memoryNeed ?? null;
    return {
      id,
      state: stateOf(place, this.#residency.line.has(key)),
      isDefault: id === defaultId,
      pinned: tenure.pinned,
      priority: tenure.priority,
      pid: engine?.pid ?? null,
      backend: engine?.backend ?? null,
      devices: engine?.info.devices ?? [],
      plannedBytes: this.#memory === undefined ? null : heldBytes(tenure),
      measuredBytes: need === null ? null : (this.#memory?.byPool(need) ?? null),
      learned: this.#memory?.learnedOf(id) ?? null,
      memory: engine === null ? null : (this.#memory?.readProcess(engine.pid) ?? null),
      requests: { running, queued: stats?.waiting ?? 0, waiting: this.#residency.line.count(key) },
      tokensPerSecond: this.#rate(engine?.pid ?? 0, stats),
      kv: stats === null ? null : { usedTokens: stats.ledger.used, totalTokens: stats.ledger.total },
      sleepsInMs: place.sleep?.leftMs ?? null,
      idleMs: lastUsedMs === null ? null : Math.max(0, this.#clock.monotonicMs() - lastUsedMs),
      loadMs: tenure.loadMs,
      loads: tenure.loads,
      evictions: tenure.evictions,
      freed: tenure.freed,
      error: place.error ?? tenure.refusal,
    };
  }

  /** While it computes. An engine that has done nothing since the last time is told with what it did then. */
  #rate(pid: number, stats: EngineStats | null): ResidentModel["tokensPerSecond"] {
    if (stats === null) return { prompt: null, generation: null };
    const { decodedTokens, evaluatedTokens, times } = stats;
    const counts = { decodedTokens, evaluatedTokens, stepMs: times.stepMs };
    const last = this.#last.get(pid);
    const before = last?.counts ?? { decodedTokens: 0, evaluatedTokens: 0, stepMs: 0 };
    const seconds = (counts.stepMs - before.stepMs) / 1000;
    if (seconds <= 0) return last?.rates ?? { prompt: null, generation: null };
    const rates = {
      prompt: (counts.evaluatedTokens - before.evaluatedTokens) / seconds,
      generation: (counts.decodedTokens - before.decodedTokens) / seconds,
    };
    this.#last.set(pid, { counts, rates });
    return rates;
  }
}

function stateOf({ engine, starting, tenure, slot, error }: Place, waits: boolean): ResidentState {
  if (starting !== null) return "loading";
  if (engine !== null) return tenure.closing === null ? "loaded" : "draining";
  if (waits) return "waiting";
  if (slot.kind === "asleep") return "asleep";
  return slot.kind === "cooling" || error !== null ? "failed" : "unloaded";
}
