// When an engine that nobody asks is put to sleep: after a time without requests it writes down what it keeps, and if
// still nobody has come it may be stopped. Stops nothing itself.

import type { CancelTimer, Clock } from "../../lib/clock.ts";
import type { EngineClient } from "../engines/engine-client.ts";

export interface SleepActions {
  /** Resolves when the engine has written what it keeps, or won't. */
  flush(): Promise<unknown>;
  sleep(): void;
}

export class SleepTimer {
  readonly #clock: Clock;
  /** Null: never. */
  #afterMs: number | null;
  /** When the time is up, by the clock; null: it does not run. */
  #dueMs: number | null = null;
  readonly #client: Pick<EngineClient, "openCount">;
  readonly #actions: SleepActions;
  #cancelTimer: CancelTimer = () => {};
  /** Counts the times that the engine fell idle: who came and left during a flush starts the time anew. */
  #rounds = 0;
  #stopped = false;

  /** Starts with an idle engine. */
  constructor(clock: Clock, afterMs: number | null, client: Pick<EngineClient, "openCount">, actions: SleepActions) {
    this.#clock = clock;
    this.#afterMs = afterMs;
    this.#client = client;
    this.#actions = actions;
    this.#arm();
  }

  /** The last request has ended. */
  noticeIdle(): void {
    this.#arm();
  }

  /** Milliseconds until the engine may be stopped if nobody asks; of one at work all of them. Null: it stays. */
  get leftMs(): number | null {
    if (this.#stopped || this.#afterMs === null) return null;
    if (this.#dueMs === null || this.#client.openCount > 0) return this.#afterMs;
    return Math.max(0, this.#dueMs - this.#clock.monotonicMs());
  }

  /** Another time from now on. */
  setAfter(afterMs: number | null): void {
    // It is told to go already: whoever says so again and again must not keep it from that.
    if (afterMs === 0 && this.#afterMs === 0) return;
    this.#afterMs = afterMs;
    if (this.#client.openCount === 0) this.#arm();
  }

  /** The engine is gone, or goes for another reason. */
  stop(): void {
    this.#stopped = true;
    this.#cancelTimer();
  }

  #arm(): void {
    this.#cancelTimer();
    this.#dueMs = null;
    this.#rounds += 1;
    if (this.#stopped || this.#afterMs === null) return;
    this.#dueMs = this.#clock.monotonicMs() + this.#afterMs;
    this.#cancelTimer = this.#clock.after(this.#afterMs, () => void this.#onTime(), true);
  }

  async #onTime(): Promise<void> {
    // Whoever is there ends some day, and then the time starts anew.
    if (this.#client.openCount > 0) return;
    const round = this.#rounds;
    await this.#actions.flush();
    if (this.#stopped || round !== this.#rounds || this.#client.openCount > 0) return;
    this.stop();
    this.#actions.sleep();
  }
}
