// The engine of one place from its start to its end, and what is noted of both: slot, times, memory that came back. When it
// starts, and when it has to end for others, is decided in residency.ts.

import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { ModelEntry } from "../../models/entry.ts";
import { type EngineProcess, StartFailure } from "../engines/engine-process.ts";
import { prepareSleep } from "../engines/engine-report.ts";
import { decide, onDeath, onReady, onSlept, onStopped } from "../engines/slot.ts";
import { describeFreed } from "./freed.ts";
import type { MemoryEffects } from "./memory-effects.ts";
import type { Place } from "./place.ts";
import { explainCooling } from "./refusals.ts";
import { SleepTimer } from "./sleep-timer.ts";
import { noteGrant } from "./tenure.ts";

export type StartOutcome = { engine: EngineProcess } | { error: unknown };

export interface EngineLifeOptions {
  startEngine(entry: ModelEntry, signal: AbortSignal): Promise<EngineProcess>;
  memory?: MemoryEffects;
  log: Logger;
  clock: Clock;
  /** Aborted when the server stops. */
  stopping: AbortSignal;
  /** What who waits for this model is told. */
  onSettled(engineKey: string, outcome: StartOutcome): void;
  /** An engine is idle, or gone. */
  onChange(): void;
}

export class EngineLives {
  readonly #options: EngineLifeOptions;

  constructor(options: EngineLifeOptions) {
    this.#options = options;
  }

  /** Its slot says that it starts. Rejects with what who waits is told. `level`: see eviction.ts. */
  async load(entry: ModelEntry, place: Place, level: number): Promise<EngineProcess> {
    const { clock, log, onSettled, onChange } = this.#options;
    const startMs = clock.monotonicMs();
    place.tenure.embedding = null;
    const givenUp = new AbortController();
    place.giveUp = (why) => givenUp.abort(why);
    log.info("loading", { model: entry.id, path: entry.path });
    let outcome: StartOutcome | null = null;
    try {
      const ended = AbortSignal.any([this.#options.stopping, givenUp.signal]);
      const engine = await this.#options.startEngine(entry, ended);
      const { loadMs, contextLength, parallel, devices } = engine.info;
      log.info("loaded", {
        model: entry.id,
        pid: engine.pid,
        ms: Math.round(loadMs),
        contextLength,
        parallel,
        devices,
      });
      this.#welcome(entry, place, engine, startMs);
      noteGrant(place, level, clock.monotonicMs());
      outcome = { engine };
      return engine;
    } catch (thrown) {
      if (givenUp.signal.aborted) {
        place.slot = onStopped(place.slot);
        log.info("load given up", { model: entry.id });
        throw givenUp.signal.reason;
      }
      const failure = thrown instanceof StartFailure ? thrown : null;
      place.slot = failure?.died === true ? onDeath(place.slot, clock.monotonicMs()) : onStopped(place.slot);
      place.error = (thrown as Error).message;
      log.error("load failed", { model: entry.id, error: place.error });
      outcome = { error: failure?.error ?? thrown };
      throw outcome.error;
    } finally {
      place.starting = null;
      place.giveUp = null;
      // Who waits now came after it was given up, and gets another start.
      if (outcome === null) onChange();
      else onSettled(entry.engineKey, outcome);
    }
  }

  #welcome(entry: ModelEntry, place: Place, engine: EngineProcess, startMs: number): void {
    const nowMs = this.#options.clock.monotonicMs();
    const { tenure } = place;
    place.slot = onReady(place.slot, nowMs);
    place.engine = engine;
    place.error = null;
    place.slept = null;
    Object.assign(tenure, {
      refusal: null,
      freed: null,
      readyMs: nowMs,
      loadMs: nowMs - startMs,
      loads: tenure.loads + 1,
    });
    engine.client.onIdle = () => this.#onIdle(place);
    void engine.exited.then(() => this.#onExit(entry, place, engine));
    this.watchIdle(place, engine);
  }

  /** From now on it sleeps when nobody asks. */
  watchIdle(place: Place, engine: EngineProcess): void {
    const { clock, log } = this.#options;
    if (this.#options.stopping.aborted) return;
    place.sleep = new SleepTimer(clock, place.idleMs, engine.client, {
      flush: async () => {
        place.slept = await prepareSleep({ model: place.id, engine }, clock);
      },
      sleep: () => {
        if (place.engine !== engine) return;
        log.info("asleep", { model: place.id, pid: engine.pid });
        this.end(place, engine);
      },
    });
  }

  #onIdle(place: Place): void {
    place.tenure.idleSinceMs = this.#options.clock.monotonicMs();
    place.sleep?.noticeIdle();
    place.tenure.closing?.draining.noticeIdle();
    this.#options.onChange();
  }

  /** Its memory counts until the process is gone. */
  end(place: Place, engine: EngineProcess): void {
    const { tenure } = place;
    place.slot = tenure.closing?.why === "asked" ? onStopped(place.slot) : onSlept(place.slot);
    place.engine = null;
    place.askedStay = null;
    tenure.closing = null;
    place.leaving = this.#stop(place, engine).finally(() => {
      place.leaving = null;
      this.#options.onChange();
    });
  }

  /** Who waits for its memory waits for both looks too: the next engine would be in the second one. */
  async #stop(place: Place, engine: EngineProcess): Promise<void> {
    const { memory, log } = this.#options;
    if (memory === undefined) return await engine.stop();
    const before = await memory.readFree(engine.pid);
    const own = memory.readProcess(engine.pid);
    await engine.stop();
    const freed = describeFreed(own, before, await memory.readFree(engine.pid));
    place.tenure.freed = freed;
    log.info("gone", { model: place.id, pid: engine.pid, ...freed });
  }

  #onExit(entry: ModelEntry, place: Place, engine: EngineProcess): void {
    // One that was ended here has left its place before it was gone.
    if (place.engine !== engine) return;
    const { clock, log, onSettled, onChange } = this.#options;
    place.engine = null;
    place.askedStay = null;
    place.tenure.closing = null;
    place.sleep?.stop();
    if (engine.stopping) {
      place.slot = onStopped(place.slot);
      return;
    }
    place.slot = onDeath(place.slot, clock.monotonicMs());
    log.error("engine died", { model: entry.id, pid: engine.pid, deaths: place.slot.deaths });
    const decision = decide(place.slot, clock.monotonicMs());
    if (decision.kind === "refuse") {
      onSettled(entry.engineKey, { error: explainCooling(entry.id, place.slot, decision.waitMs) });
    } else onChange();
  }
}
