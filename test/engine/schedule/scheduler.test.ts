// The scheduler's policy: decode rows always ride, prompts share the rest, and who comes in and goes out.

import { describe, expect, test } from "bun:test";
import { admits, chooseVictim, plan, type Runnable } from "../../../src/engine/schedule/scheduler.ts";

const roomy = { batchSize: 32, promptRows: 32, freeCells: 1000 };
const decoding = (id: number, arrival = id): Runnable => ({ id, missing: 1, rankMs: 0, arrival });
const reading = (id: number, missing: number, arrival = id): Runnable => ({ id, missing, rankMs: 0, arrival });

describe("plan", () => {
  test("nobody runs: nothing to do", () => {
    expect(plan([], roomy)).toEqual({ kind: "fits", rows: [] });
  });

  test("decode rows come first, then prompts in order of arrival", () => {
    const running = [reading(1, 20, 0), decoding(2, 5), reading(3, 20, 2), decoding(4, 1)];
    expect(plan(running, roomy)).toEqual({
      kind: "fits",
      rows: [
        { id: 4, count: 1 },
        { id: 2, count: 1 },
        { id: 1, count: 20 },
        { id: 3, count: 10 },
      ],
    });
  });

  test("a prompt takes what is left and goes on in the next step", () => {
    expect(plan([reading(1, 100)], roomy)).toEqual({ kind: "fits", rows: [{ id: 1, count: 32 }] });
    expect(plan([reading(1, 100)], { batchSize: 32, promptRows: 1000, freeCells: 5 })).toEqual({
      kind: "fits",
      rows: [{ id: 1, count: 5 }],
    });
  });

  test("more decode rows than a batch holds: the first to arrive ride", () => {
    const running = [3, 1, 2].map((id) => decoding(id));
    expect(plan(running, { batchSize: 2, promptRows: 1000, freeCells: 10 })).toEqual({
      kind: "fits",
      rows: [
        { id: 1, count: 1 },
        { id: 2, count: 1 },
      ],
    });
  });

  test("is full when the decode rows lack cells, or when nothing could run", () => {
    expect(plan([decoding(1), decoding(2)], { batchSize: 8, promptRows: 1000, freeCells: 1 })).toEqual({
      kind: "full",
    });
    expect(plan([decoding(1), decoding(2)], { batchSize: 8, promptRows: 1000, freeCells: 2 }).kind).toBe("fits");
    expect(plan([reading(1, 4)], { batchSize: 8, promptRows: 1000, freeCells: 0 })).toEqual({ kind: "full" });
  });

  test("never plans more rows than the batch or the cells hold, nor leaves room unused", () => {
    for (let seed = 0; seed < 500; seed++) {
      const running = Array.from({ length: seed % 7 }, (_, i) => reading(i, 1 + ((seed * (i + 3)) % 11)));
      const budget = { batchSize: 1 + (seed % 13), promptRows: 1000, freeCells: (seed * 7) % 29 };
      const decision = plan(running, budget);
      if (decision.kind === "full") continue;
      const rows = decision.rows.reduce((sum, row) => sum + row.count, 0);
      const wanted = running.reduce((sum, sequence) => sum + sequence.missing, 0);
      expect(rows).toBe(Math.min(budget.batchSize, budget.freeCells, wanted));
      for (const { id, count } of decision.rows) {
        expect(count).toBeGreaterThan(0);
        expect(count).toBeLessThanOrEqual(running[id]?.missing ?? 0);
      }
    }
  });
});

describe("admits", () => {
  test("alone: whatever fits", () => {
    expect(admits(100, 0, 100)).toBe(true);
    expect(admits(101, 0, 100)).toBe(false);
  });

  test("beside others: with room for each of them to go on", () => {
    expect(admits(100, 1, 132)).toBe(true);
    expect(admits(100, 1, 131)).toBe(false);
    expect(admits(100, 3, 132)).toBe(false);
  });
});

describe("chooseVictim", () => {
  const candidate = (id: number, paused = false) => ({ id, rankMs: 0, arrival: id, paused });

  test("the latest arrival, but a paused one before", () => {
    expect(chooseVictim([])).toBeNull();
    expect(chooseVictim([candidate(1), candidate(3), candidate(2)])).toBe(3);
    expect(chooseVictim([candidate(1, true), candidate(3), candidate(2)])).toBe(1);
    expect(chooseVictim([candidate(1, true), candidate(2, true), candidate(3)])).toBe(2);
  });
});

describe("rows with output", () => {
  const scored = (id: number, missing: number): Runnable => ({ ...reading(id, missing), needsAllOutput: true });
  const countsOf = (running: Runnable[], outputs: number): Record<number, number> => {
    const decision = plan(running, { ...roomy, outputs });
    return decision.kind === "full" ? {} : Object.fromEntries(decision.rows.map(({ id, count }) => [id, count]));
  };

  test("bound the chunk of a prompt that is scored, and nobody else's", () => {
    expect(countsOf([scored(1, 100)], 8)).toEqual({ 1: 8 });
    expect(countsOf([scored(1, 100), reading(2, 100)], 8)).toEqual({ 1: 7, 2: 25 });
    expect(countsOf([scored(1, 100), scored(2, 100), reading(3, 9)], 8)).toEqual({ 1: 7, 3: 9 });
    expect(countsOf([scored(1, 3), scored(2, 100)], 8)).toEqual({ 1: 3, 2: 5 });
  });

  test("are never more than there are, whoever decodes, and somebody always gets on", () => {
    for (let seed = 0; seed < 1000; seed++) {
      const running = Array.from({ length: 1 + (seed % 6) }, (_, i) => {
        const missing = (seed * (i + 5)) % 3 === 0 ? 1 : 1 + ((seed * (i + 3)) % 17);
        return (seed + i) % 2 === 0 ? scored(i, missing) : reading(i, missing);
      });
      const outputs = running.length + (seed % 5);
      const counts = countsOf(running, outputs);
      let withOutput = 0;
      for (const { id, missing, needsAllOutput } of running) {
        const count = counts[id] ?? 0;
        withOutput += needsAllOutput === true ? count : Number(count === missing);
      }
      expect(withOutput).toBeLessThanOrEqual(outputs);
      expect(Object.keys(counts).length).toBeGreaterThan(0);
    }
  });
});
