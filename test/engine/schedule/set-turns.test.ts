// Turns of sets of adapters: every stream gets on, prompts are read in their order, and a set keeps its turn only as
// long as nobody notices.

import { describe, expect, test } from "bun:test";
import { rankOf } from "../../../src/engine/schedule/scheduler.ts";
import { type OfSet, SetTurns } from "../../../src/engine/schedule/set-turns.ts";
import { makeRandom } from "../../support/random.ts";

interface One {
  id: number;
  missing: number;
  rankMs: number;
  arrival: number;
}

/** Longer than a turn. */
const STEP_MS = 25;

const of = (key: string, id: number, missing: number, rankMs = 0): OfSet<One> => ({
  id,
  missing,
  rankMs,
  arrival: id,
  set: { key },
});

const idsOf = (sequences: readonly One[]): number[] => sequences.map(({ id }) => id);

describe("SetTurns", () => {
  test("one set: all of it, every step", () => {
    const turns = new SetTurns();
    const active = [of("", 1, 1), of("", 2, 50), of("", 3, 1), of("", 4, 9)];
    for (let step = 0; step < 3; step++) {
      const { sequences, decodingElsewhere } = turns.next(active, step * STEP_MS);
      expect(idsOf(sequences)).toEqual([1, 2, 3, 4]);
      expect(decodingElsewhere).toBe(0);
    }
  });

  test("streams of several sets take turns, and know of each other", () => {
    const turns = new SetTurns();
    const active = [of("a", 1, 1), of("b", 2, 1), of("a", 3, 1), of("c", 4, 1)];
    const steps = Array.from({ length: 6 }, (_, step) => turns.next(active, step * STEP_MS));
    expect(steps.map(({ sequences }) => idsOf(sequences))).toEqual([[1, 3], [2], [4], [1, 3], [2], [4]]);
    expect(steps.map(({ decodingElsewhere }) => decodingElsewhere)).toEqual([2, 3, 3, 2, 3, 3]);
  });

  test("quick steps: a set keeps its turn for a while", () => {
    const turns = new SetTurns();
    const active = [of("a", 1, 1), of("b", 2, 1)];
    const ran = Array.from({ length: 12 }, (_, step) => idsOf(turns.next(active, step * 5).sequences)[0]);
    expect(ran).toEqual([1, 1, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1]);
  });

  test("a set that was alone for long gives its turn up at once when another comes", () => {
    const turns = new SetTurns();
    for (let step = 0; step < 10; step++) turns.next([of("a", 1, 1)], step * STEP_MS);
    const both = [of("a", 1, 1), of("b", 2, 1)];
    expect(idsOf(turns.next(both, 10 * STEP_MS).sequences)).toEqual([2]);
  });

  test("a long prompt of one set leaves every second step to another's stream", () => {
    const turns = new SetTurns();
    const active = [of("a", 1, 5000), of("b", 2, 1)];
    const ran = Array.from({ length: 6 }, (_, step) => idsOf(turns.next(active, step * STEP_MS).sequences)[0]);
    expect(ran).toEqual([1, 2, 1, 2, 1, 2]);
  });

  test("prompts are read in order, whatever their sets", () => {
    const turns = new SetTurns();
    const late = [of("b", 5, 40), of("a", 3, 40), of("b", 4, 40)];
    expect(idsOf(turns.next(late, 0).sequences)).toEqual([3]);
    // The first prompt of all is of set a, so set b only decodes.
    const mixed = [of("b", 1, 1), of("a", 3, 40), of("b", 4, 40)];
    expect(idsOf(turns.next(mixed, STEP_MS).sequences)).toEqual([1]);
    expect(idsOf(turns.next(mixed, 2 * STEP_MS).sequences)).toEqual([3]);
    expect(idsOf(turns.next([of("b", 1, 1), of("b", 4, 40)], 3 * STEP_MS).sequences)).toEqual([1, 4]);
  });

  test("batch prompts wait behind interactive ones of another set, but not for ever", () => {
    const batch = of("a", 1, 40, rankOf(0, "batch"));
    const soon = of("b", 2, 40, rankOf(1000, "interactive"));
    const late = of("b", 3, 40, rankOf(60_000, "interactive"));
    expect(idsOf(new SetTurns().next([batch, soon], 0).sequences)).toEqual([2]);
    expect(idsOf(new SetTurns().next([batch, late], 0).sequences)).toEqual([1]);
  });

  test("sets that come anew all the time starve nobody", () => {
    const turns = new SetTurns();
    const old = of("old", 0, 1);
    let waited = 0;
    for (let step = 1; step < 200; step++) {
      const active = [old, of(`new ${step}`, step, 1), of(`new ${step + 1}`, step + 1, 1)];
      const [first] = turns.next(active, step * STEP_MS).sequences;
      waited = first?.id === 0 ? 0 : waited + 1;
      expect(waited).toBeLessThanOrEqual(3);
    }
  });

  test("random loads: whoever decodes runs within as many turns as there are sets", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = makeRandom(seed);
      const turns = new SetTurns();
      const sets = 1 + random(5);
      const active = Array.from({ length: 1 + random(12) }, (_, id) =>
        of(`set ${random(sets)}`, id, random(3) === 0 ? 2 + random(90) : 1, random(1000)),
      );
      const steps = 2 * sets + 4;
      const lastRun = new Map<number, number>();
      for (let step = 0; step < steps; step++) {
        const { sequences } = turns.next(active, step * STEP_MS);
        expect(new Set(sequences.map(({ set }) => set.key)).size).toBe(1);
        for (const { id } of sequences) lastRun.set(id, step);
      }
      const [firstPrompt] = active
        .filter(({ missing }) => missing > 1)
        .toSorted((a, b) => a.rankMs - b.rankMs || a.id - b.id);
      for (const sequence of active) {
        if (sequence.missing > 1 && sequence !== firstPrompt) continue;
        expect(steps - (lastRun.get(sequence.id) ?? -1)).toBeLessThanOrEqual(sets + 1);
      }
    }
  });
});
