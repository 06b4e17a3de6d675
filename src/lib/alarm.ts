// A timer that is set again and again, such as at every event of a stream, and hardly ever goes off: setting it anew
// only notes the time, and the one timer behind it asks for the rest when it fires early.

import type { CancelTimer, Clock } from "./clock.ts";

export class Alarm {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #run: () => void;
  /** Infinite: it is off. */
  #dueMs = Number.POSITIVE_INFINITY;
  #cancelTimer: CancelTimer | null = null;
  #disposed = false;

  /** Off at first. The timer behind it does not keep the process alive. */
  constructor(clock: Clock, delayMs: number, run: () => void) {
    this.#clock = clock;
    this.#delayMs = delayMs;
    this.#run = run;
  }

  /** Goes off once, after the delay from now. */
  set(): void {
    if (this.#disposed) return;
    this.#dueMs = this.#clock.monotonicMs() + this.#delayMs;
    if (this.#cancelTimer === null) this.#wait(this.#delayMs);
  }

  /** Off until it is set again. The timer behind it may still fire once, and does nothing then. */
  clear(): void {
    this.#dueMs = Number.POSITIVE_INFINITY;
  }

  /** Off for ever, and its timer is gone: whoever sets it late, such as a last reader, leaves nothing behind. */
  dispose(): void {
    this.#disposed = true;
    this.clear();
    this.#cancelTimer?.();
    this.#cancelTimer = null;
  }

  #wait(delayMs: number): void {
    this.#cancelTimer = this.#clock.after(delayMs, () => this.#fire(), true);
  }

  #fire(): void {
    this.#cancelTimer = null;
    if (this.#dueMs === Number.POSITIVE_INFINITY) return;
    const restMs = this.#dueMs - this.#clock.monotonicMs();
    // A timer may fire a fraction of a millisecond early.
    if (restMs >= 1) {
      this.#wait(restMs);
      return;
    }
    this.clear();
    this.#run();
  }
}
