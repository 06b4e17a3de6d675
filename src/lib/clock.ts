// Time as a dependency, so that tests never sleep. Wall time is for people and file dates,
// monotonic time for durations: the wall clock may jump.

/** Stops a pending timer; harmless when it has already fired. */
export type CancelTimer = () => void;

export interface Clock {
  /** Milliseconds since the epoch. */
  wallMs(): number;
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Runs `run` once after the delay. The timer does not keep the process alive when `background` is true. */
  after(delayMs: number, run: () => void, background?: boolean): CancelTimer;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run, background = false) {
    const timer = setTimeout(run, delayMs);
    if (background) timer.unref();
    return () => clearTimeout(timer);
  },
};
