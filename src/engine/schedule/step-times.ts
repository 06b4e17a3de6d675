// Where the time of steps goes: sums since the engine began, for the step as a whole and for its dear parts.

import type { Clock } from "../../lib/clock.ts";
import type { EngineStats } from "../../protocol/model-info.ts";

type Times = EngineStats["times"];

export class StepTimes {
  readonly #clock: Clock;
  readonly #sums: Times = { stepMs: 0, decodeMs: 0, sampleMs: 0, sendMs: 0 };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get sums(): Readonly<Times> {
    return this.#sums;
  }

  time<T>(part: keyof Times, work: () => T): T {
    const startMs = this.#clock.monotonicMs();
    try {
      return work();
    } finally {
      this.#sums[part] += this.#clock.monotonicMs() - startMs;
    }
  }
}
