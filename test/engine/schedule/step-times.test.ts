// Sums of a step's parts, also of one that fails.

import { expect, test } from "bun:test";
import { StepTimes } from "../../../src/engine/schedule/step-times.ts";
import { FakeClock } from "../../support/fake-clock.ts";

test("parts are added up, and count when they throw", () => {
  const clock = new FakeClock();
  const times = new StepTimes(clock);
  const takes = (ms: number) => () => clock.advance(ms);
  times.time("stepMs", () => times.time("decodeMs", takes(5)));
  times.time("decodeMs", takes(2));
  const fail = () => {
    clock.advance(1);
    throw new Error("no");
  };
  expect(() => times.time("sampleMs", fail)).toThrow("no");
  expect(times.sums).toEqual({ stepMs: 5, decodeMs: 7, sampleMs: 1, sendMs: 0 });
});
