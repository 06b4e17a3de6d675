// Which model is next, and who may stay a while: single steps. Whole schedules are swap-schedules.test.ts.

import { describe, expect, test } from "bun:test";
import { heldUntilMs, planStep, type Resident, updateGap } from "../../../src/router/residency/admission.ts";

const resident = (key: string, changes: Partial<Resident> = {}): Resident => ({
  key,
  bytes: [10],
  pinned: false,
  priority: 0,
  running: 0,
  worth: 1,
  lastUsedMs: 0,
  phase: "open",
  readyMs: 0,
  idleSinceMs: null,
  reloadMs: 1_000,
  gapMs: null,
  ...changes,
});

const want = (key: string, needBytes = 10) => ({ key, needBytes: [needBytes] });
const NOTHING = { start: [], close: [], leave: [], reopen: [], refuse: [], wakeAtMs: null };

describe("planStep", () => {
  test("without a limit all are started", () => {
    const step = planStep([want("a"), want("b", 1e15)], [resident("c")], [], 0);
    expect(step).toEqual({ ...NOTHING, start: ["a", "b"] });
  });

  test("the first is served before the second is looked at, though that would fit", () => {
    const step = planStep(
      [want("large", 20), want("small", 1)],
      [resident("a"), resident("b", { bytes: [9] })],
      [20],
      0,
    );
    expect(step).toEqual({ ...NOTHING, close: ["a", "b"] });
  });

  test("one that can never fit is refused, and holds nobody up", () => {
    const step = planStep([want("huge", 99), want("b")], [], [20], 0);
    expect(step).toEqual({ ...NOTHING, start: ["b"], refuse: [{ key: "huge", pool: 0, bytesMax: 20 }] });
  });

  test("engines of older settings of a model are no obstacle to it, pinned or not, and go only when it can have room", () => {
    const older = resident("a1", { pinned: true, readyMs: 0, running: 1 });
    const replacing = (needBytes: number) => ({ ...want("a2", needBytes), replaces: ["a1"] });
    expect(planStep([replacing(5)], [older], [20], 0)).toEqual({ ...NOTHING, start: ["a2"], leave: ["a1"] });
    expect(planStep([replacing(20)], [older], [20], 9_000)).toEqual({ ...NOTHING, leave: ["a1"], wakeAtMs: null });
    const refuse = [{ key: "a2", pool: 0, bytesMax: 20 }];
    expect(planStep([replacing(21)], [older], [20], 9_000)).toEqual({ ...NOTHING, refuse });
    // Nobody else has anything of it, and what is not looked at yet drives nobody out.
    expect(planStep([want("b", 20), replacing(20)], [resident("c"), older], [30], 9_000)).toEqual({
      ...NOTHING,
      close: ["c"],
    });
  });

  test("what was started in this step holds its room", () => {
    const step = planStep([want("a"), want("b"), want("c")], [], [20], 0);
    expect(step).toEqual({ ...NOTHING, start: ["a", "b"] });
  });

  test("a turn is waited for, and when to look again is told", () => {
    const busy = resident("a", { running: 1, readyMs: 500 });
    expect(planStep([want("b")], [busy], [10], 1_000)).toEqual({ ...NOTHING, wakeAtMs: 4_500 });
    expect(planStep([want("b")], [busy], [10], 4_500)).toEqual({ ...NOTHING, close: ["a"] });
  });

  test("a model whose own engine ends for others does not keep them waiting", () => {
    const step = planStep([want("a"), want("b")], [resident("a", { phase: "closing", running: 1 })], [10], 9_000);
    expect(step).toEqual(NOTHING);
  });

  test("a closed one opens again when nobody wants its room, or others make it sooner", () => {
    const closing = resident("a", { phase: "closing", running: 1 });
    expect(planStep([], [closing], [10], 9_000)).toEqual({ ...NOTHING, reopen: ["a"] });
    expect(planStep([want("a")], [closing], [10], 9_000)).toEqual({ ...NOTHING, reopen: ["a"] });
    const step = planStep([want("c")], [closing, resident("b")], [20], 9_000);
    expect(step).toEqual({ ...NOTHING, close: ["b"], reopen: ["a"] });
  });

  test("those that load or go are waited for", () => {
    expect(planStep([want("b")], [resident("a", { phase: "loading" })], [10], 0)).toEqual(NOTHING);
    expect(planStep([want("b")], [resident("a", { phase: "going" })], [10], 0)).toEqual(NOTHING);
  });
});

describe("heldUntilMs", () => {
  test.each([
    ["at work: its turn", { running: 1 }, 4_000],
    ["at work, a short load: the shortest turn", { running: 1, reloadMs: 1 }, 500],
    ["at work, a long load: the longest turn", { running: 1, reloadMs: 1e6 }, 120_000],
    ["idle, and nothing is known of it", { idleSinceMs: 100 }, 0],
    ["idle, and the next request comes soon", { idleSinceMs: 100, gapMs: 10 }, 150],
    ["idle, and it comes within half a load", { idleSinceMs: 100, gapMs: 500 }, 1_100],
    ["idle, and it comes later than that", { idleSinceMs: 100, gapMs: 501 }, 0],
    ["idle at the end of its turn", { idleSinceMs: 3_990, gapMs: 10 }, 4_000],
  ] as const)("%s", (_, changes, expected) => {
    expect(heldUntilMs(resident("a", changes))).toBe(expected);
  });
});

test("gaps are averaged, the later ones weigh more", () => {
  expect(updateGap(null, 100)).toBe(100);
  expect(updateGap(100, 20)).toBe(60);
});
