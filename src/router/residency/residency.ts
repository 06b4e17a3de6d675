// Which models have engines: starts them, gives them to requests, and ends those that have to make room, sleep or were told to
// go. Whose turn it is decides admission.ts, whether one may be started slot.ts; here it is done.

import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { assertServable, type ModelEntry } from "../../models/entry.ts";
import type { EngineProcess } from "../engines/engine-process.ts";
import { flushEngine, prepareSwap } from "../engines/engine-report.ts";
import { decide, onStart } from "../engines/slot.ts";
import { idleMsOf } from "../model-settings.ts";
import { planStep, type Step, type WaitingModel } from "./admission.ts";
import { Draining } from "./draining.ts";
import { EngineLives } from "./engine-lives.ts";
import { type FreedMemory, sumFreed } from "./freed.ts";
import type { Unloading } from "./loading.ts";
import type { MemoryEffects } from "./memory-effects.ts";
import { isUnloadedSince, type Place, present } from "./place.ts";
import { Places } from "./places.ts";
import type { PoolBudgets } from "./pools.ts";
import { ReadingAhead } from "./read-ahead.ts";
import { explainCooling, explainNoRoom, explainStop } from "./refusals.ts";
import { noteArrival, noteGrant, toResident } from "./tenure.ts";
import { unloadPlace } from "./unloading.ts";
import { WaitingLine } from "./waiting-line.ts";

export interface ResidencyDependencies {
  startEngine(entry: ModelEntry, signal: AbortSignal): Promise<EngineProcess>;
  /** All models, with the settings that they have now. */
  listed(): readonly ModelEntry[];
  /** Absent: there is room for all. */
  memory?: MemoryEffects;
  /** An engine without requests for this long is stopped; 0 = never. */
  sleepAfterMs: number;
  log: Logger;
  clock: Clock;
}

/** Service managers kill 10 s or more after they asked; a stop takes 2 s beyond this. */
const STOP_FLUSH_MS_MAX = 5_000;

export class Residency {
  readonly places = new Places();
  readonly line = new WaitingLine(() => this.#look());
  readonly #deps: ResidencyDependencies;
  /** Aborted at the stop: loads in progress end with it. */
  readonly #stopping = new AbortController();
  readonly #lives: EngineLives;
  readonly #ahead: ReadingAhead;
  /** Rises to the worth of what was evicted last (eviction.ts). */
  #level = 0;
  #swaps = 0;
  #cancelWake: () => void = () => {};

  constructor(deps: ResidencyDependencies) {
    this.#deps = deps;
    this.#lives = new EngineLives({
      ...deps,
      stopping: this.#stopping.signal,
      onSettled: (key, outcome) => {
        if ("engine" in outcome) this.line.grant(key, outcome.engine);
        else this.line.fail(key, outcome.error);
        // Its file may have gone while it was loaded.
        this.noteFileChanges();
      },
      onChange: () => this.#look(),
    });
    this.#ahead = new ReadingAhead(async (entry, signal) => await deps.memory?.readAhead(entry, signal));
  }

  /** The model's engine, started if there is none, once there is room. `sinceMs`: when the request came. `isLoad`: there is none. */
  async engineFor(entry: ModelEntry, signal: AbortSignal, sinceMs: number, isLoad = false): Promise<EngineProcess> {
    assertServable(entry);
    if (this.#stopping.signal.aborted) throw explainStop();
    const nowMs = this.#deps.clock.monotonicMs();
    const place = this.#placeOf(entry);
    noteArrival(place, nowMs);
    place.askedMs = Math.max(place.askedMs ?? sinceMs, sinceMs);
    const decision = decide(place.slot, nowMs);
    if (decision.kind === "refuse") throw explainCooling(entry.id, place.slot, decision.waitMs);
    if (decision.kind === "grant" && place.tenure.closing === null) {
      // A load alone brings settings back, for others of which it may have been told to go.
      if (isLoad) place.sleep?.setAfter(place.idleMs);
      noteGrant(place, this.#level, nowMs);
      return present(place.engine);
    }
    const waiting = this.line.wait(entry, { sinceMs, nowMs, signal, isLoad });
    this.#look();
    const engine = await waiting;
    if (place.engine === engine && isUnloadedSince(place)) void this.#close(place, "asked");
    return engine;
  }

  /** Ends the model's engines, those with older settings too, when the requests that came before have ended. `freed`: null, it had none. */
  unload(entry: ModelEntry): Omit<Unloading, "ended"> & { freed: Promise<FreedMemory | null> } {
    const options = { line: this.line, close: (place: Place) => this.#close(place, "asked") };
    const nowMs = this.#deps.clock.monotonicMs();
    const parts = this.places
      .ofModel(entry, this.#deps.listed())
      .map(([key, place]) => unloadPlace(key, place, { ...options, nowMs }));
    this.#look();
    return {
      loadsGivenUp: parts.reduce((sum, { loadsGivenUp }) => sum + loadsGivenUp, 0),
      requestsAhead: parts.reduce((sum, { requestsAhead }) => sum + requestsAhead, 0),
      freed: Promise.all(parts.map(({ freed }) => freed)).then((freed) => {
        this.#look();
        return sumFreed(freed.flat());
      }),
    };
  }

  /** How long its engine stays without requests; null: for ever. Of a pinned one, and of one that nobody asked for: nothing. */
  keepFor({ engineKey, pinned }: Pick<ModelEntry, "engineKey" | "pinned">, idleMs: number | null): void {
    const place = this.places.find(engineKey);
    if (pinned || place === null) return;
    // It would else hold for an engine that somebody else starts.
    if (place.engine === null && place.starting === null && !this.line.has(engineKey)) return;
    place.askedStay = { idleMs };
    place.idleMs = idleMs;
    place.sleep?.setAfter(idleMs);
  }

  /** Files of models may have changed: engines of those that are gone, or others now, go when they are idle. */
  noteFileChanges(): void {
    const listed = this.#deps.listed();
    // Those whose model waits with other settings are needed still if it is refused.
    const kept = this.line.groups().flatMap(({ entry }) => this.places.replacedBy(entry, listed));
    this.places.leaveUnlisted(listed, kept);
    this.#look();
  }

  /** The model's settings or its pin have changed. */
  noteChange(entry: ModelEntry): void {
    const place = this.places.find(entry.engineKey);
    if (place !== null) {
      place.tenure.pinned = entry.pinned;
      place.idleMs = idleMsOf(entry, this.#deps.sleepAfterMs, place.askedStay);
      place.sleep?.setAfter(place.idleMs);
    }
    this.noteFileChanges();
  }

  /** Most bytes for all engines; empty: no limit. */
  get budgets(): PoolBudgets {
    return this.#deps.memory?.budgets() ?? [];
  }

  /** Engines that went for others. */
  get swaps(): number {
    return this.#swaps;
  }

  /** Some engine starts or ends: it has memory that nobody can tell from others'. */
  get isMoving(): boolean {
    return this.places.all().some(({ starting, leaving }) => (starting ?? leaving) !== null);
  }

  /** Ends all engines. Graceful: what they keep is written. */
  async stop(graceful: boolean): Promise<void> {
    this.#stopping.abort();
    this.#cancelWake();
    this.#ahead.stop();
    const places = this.places.all();
    for (const { sleep } of places) sleep?.stop();
    await Promise.allSettled(places.map((place) => place.starting).filter((start) => start !== null));
    this.line.failAll(explainStop());
    const stopped = places.map(async ({ engine }) => {
      if (engine === null) return;
      if (graceful) await flushEngine(engine, STOP_FLUSH_MS_MAX, this.#deps.clock);
      await engine.stop();
    });
    await Promise.all([...stopped, ...places.map((place) => place.leaving)]);
  }

  #placeOf(entry: ModelEntry): Place {
    const place = this.places.of(entry);
    const { tenure } = place;
    Object.assign(tenure, { pinned: entry.pinned, priority: entry.settings.priority ?? 0 });
    if (place.engine === null && place.starting === null && !this.line.has(entry.engineKey)) {
      place.askedStay = null;
      // Its file may be another one since the last load. One that still ends holds what it took.
      if (place.leaving === null) tenure.needBytes = null;
    }
    return place;
  }

  /** Does what is to be done now: after everything that may have changed who waits, who is there, or for how long. */
  #look(): void {
    this.#cancelWake();
    if (this.#stopping.signal.aborted) return;
    this.places.forget(this.#deps.listed, (key) => this.line.has(key));
    const { clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    const { waiting, weighed } = this.#listWaiting();
    const residents = this.places.entries().flatMap(([key, place]) => toResident(key, place, nowMs) ?? []);
    if (waiting.length === 0 && residents.every(({ phase }) => phase !== "closing")) {
      this.#ahead.follow(weighed);
      return;
    }
    const { budgets } = this;
    const step = planStep(waiting, residents, budgets, nowMs);
    for (const key of step.reopen) this.#reopen(key);
    for (const key of step.leave) this.places.find(key)?.sleep?.setAfter(0);
    for (const refusal of step.refuse) this.#refuse(refusal, budgets);
    for (const { key, entry } of waiting) {
      if (step.start.includes(key)) this.#start(entry, present(this.places.find(key)));
    }
    for (const key of step.close) void this.#close(present(this.places.find(key)), "room");
    if (step.wakeAtMs !== null) this.#cancelWake = clock.after(step.wakeAtMs - nowMs, () => this.#look(), true);
    const settled = [...step.start, ...step.refuse.map(({ key }) => key)];
    this.#ahead.follow(waiting.find(({ key }) => !settled.includes(key))?.entry ?? weighed);
  }

  /** Models without an engine that are waited for, up to the first one whose need is not known yet: that is `weighed`. */
  #listWaiting(): { waiting: (WaitingModel & { entry: ModelEntry })[]; weighed: ModelEntry | null } {
    const waiting: (WaitingModel & { entry: ModelEntry })[] = [];
    const listed = this.#deps.listed();
    for (const { key, entry } of this.line.groups()) {
      const place = present(this.places.find(key));
      const isThere = place.engine !== null && place.tenure.closing === null;
      if (place.starting !== null || isThere) continue;
      const needBytes = this.#deps.memory === undefined ? [] : place.tenure.needBytes;
      if (needBytes === null) {
        void this.#weigh(entry, place, this.#deps.memory);
        return { waiting, weighed: entry };
      }
      waiting.push({ key, needBytes, entry, replaces: this.places.replacedBy(entry, listed) });
    }
    return { waiting, weighed: null };
  }

  async #weigh(entry: ModelEntry, place: Place, memory: MemoryEffects | undefined): Promise<void> {
    if (place.weighing) return;
    place.weighing = true;
    try {
      place.tenure.needBytes = (await memory?.needOf(entry)) ?? [];
    } catch (thrown) {
      place.tenure.refusal = (thrown as Error).message;
      this.#deps.log.warn("load refused", { model: entry.id, reason: place.tenure.refusal });
      this.line.fail(entry.engineKey, thrown);
    } finally {
      place.weighing = false;
    }
    this.#look();
  }

  #refuse({ key, pool, bytesMax }: Step["refuse"][number], budgets: PoolBudgets): void {
    const { id, tenure } = present(this.places.find(key));
    // Main memory is the first.
    const device = pool === 0 ? null : (this.#deps.memory?.pools()[pool] ?? "a device");
    const needBytes = tenure.needBytes?.[pool] ?? 0;
    const refusal = explainNoRoom(id, { device, needBytes, bytesMax, budgetBytes: budgets[pool] ?? 0 });
    tenure.refusal = refusal.message;
    this.#deps.log.warn("no room", { model: id, reason: refusal.message });
    this.line.fail(key, refusal);
  }

  #start(entry: ModelEntry, place: Place): void {
    // Requests may have waited for settings that nobody has any more.
    const isListed = this.#deps.listed().some(({ engineKey }) => engineKey === entry.engineKey);
    place.idleMs = isListed ? idleMsOf(entry, this.#deps.sleepAfterMs, place.askedStay) : 0;
    place.slot = onStart(place.slot);
    place.file = entry;
    place.starting = this.#lives.load(entry, place, this.#level);
    place.starting.catch(() => {
      // A start goes on when the request that asked for it leaves. Who still waits for it is told; nobody else is.
    });
  }

  /** Resolves when its process has begun to end, or it is kept after all. */
  async #close(place: Place, why: "room" | "asked"): Promise<void> {
    const engine = present(place.engine);
    const { clock, log } = this.#deps;
    const draining =
      place.tenure.closing?.draining ??
      new Draining(engine, clock, async () => {
        place.slept = await prepareSwap({ model: place.id, engine }, clock);
      });
    const isFirst = place.tenure.closing === null;
    place.tenure.closing = { why, draining };
    if (why === "asked") draining.finish();
    place.sleep?.stop();
    if ((await draining.end) !== "empty" || !isFirst || place.engine !== engine) return;
    log.info("makes room", { model: place.id, pid: engine.pid });
    if (place.tenure.closing?.why === "room") {
      this.#level = Math.max(this.#level, place.tenure.worth);
      place.tenure.evictions += 1;
      this.#swaps += 1;
    }
    this.#lives.end(place, engine);
  }

  #reopen(key: string): void {
    const place = present(this.places.find(key));
    place.tenure.closing?.draining.keep();
    place.tenure.closing = null;
    const engine = present(place.engine);
    this.#lives.watchIdle(place, engine);
    if (this.line.grant(key, engine)) noteGrant(place, this.#level, this.#deps.clock.monotonicMs());
  }
}
