// The life of an engine's slot: who starts, joins, is granted or refused, and how long deaths cost.

import { describe, expect, test } from "bun:test";
import {
  decide,
  NEW_SLOT,
  onDeath,
  onReady,
  onSlept,
  onStart,
  onStopped,
  type Slot,
} from "../../../src/router/engines/slot.ts";

/** A slot whose engine has died `count` times in a row, the last time at `nowMs`. */
function dieRepeatedly(count: number, nowMs: number): Slot {
  let slot: Slot = NEW_SLOT;
  for (let i = 0; i < count; i++) slot = onDeath(onReady(onStart(slot), nowMs), nowMs);
  return slot;
}

describe("decide", () => {
  test("idle starts, starting joins, ready grants", () => {
    const starting = onStart(NEW_SLOT);
    expect(decide(NEW_SLOT, 0)).toEqual({ kind: "start" });
    expect(decide(starting, 0)).toEqual({ kind: "join" });
    expect(decide(onReady(starting, 5), 6)).toEqual({ kind: "grant" });
  });

  test("cooling refuses until its time has come", () => {
    const slot = dieRepeatedly(2, 1000);
    expect(decide(slot, 1000)).toEqual({ kind: "refuse", waitMs: 1000 });
    expect(decide(slot, 1999)).toEqual({ kind: "refuse", waitMs: 1 });
    expect(decide(slot, 2000)).toEqual({ kind: "start" });
  });
});

describe("deaths", () => {
  test("the first costs nothing, each further one doubles the wait, up to a minute", () => {
    expect(dieRepeatedly(1, 0)).toEqual({ kind: "idle", deaths: 1 });
    const waits = [2, 3, 4, 5, 8, 9, 30].map((count) => {
      const decision = decide(dieRepeatedly(count, 0), 0);
      return decision.kind === "refuse" ? decision.waitMs : decision.kind;
    });
    expect(waits).toEqual([1000, 2000, 4000, 8000, 60_000, 60_000, 60_000]);
  });

  test("a death while starting counts like any other", () => {
    expect(onDeath(onStart(dieRepeatedly(1, 0)), 500)).toEqual({ kind: "cooling", deaths: 2, untilMs: 1500 });
  });

  test("a calm minute is forgiven", () => {
    const ready = onReady(onStart(dieRepeatedly(5, 0)), 10_000);
    expect(onDeath(ready, 69_999)).toMatchObject({ kind: "cooling", deaths: 6 });
    expect(onDeath(ready, 70_000)).toEqual({ kind: "idle", deaths: 1 });
  });

  test("sleep is none either, and the next request starts an engine", () => {
    const asleep = onSlept(onReady(onStart(dieRepeatedly(1, 0)), 0));
    expect(asleep).toEqual({ kind: "asleep", deaths: 1 });
    expect(decide(asleep, 0)).toEqual({ kind: "start" });
  });

  test("an end on purpose is none, and forgives none", () => {
    expect(onStopped(onReady(onStart(dieRepeatedly(3, 0)), 0))).toEqual({ kind: "idle", deaths: 3 });
  });
});
