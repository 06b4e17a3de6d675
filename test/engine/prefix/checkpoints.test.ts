// Checkpoints in memory: found by the tokens before them, held under a budget, freed once.

import { describe, expect, test } from "bun:test";
import type { SavedState } from "../../../src/engine/backend.ts";
import { automaticCheckpointBytes, type Checkpoint, Checkpoints } from "../../../src/engine/prefix/checkpoints.ts";
import { NO_ADAPTERS } from "../../../src/engine/schedule/adapter-sets.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const BYTES = 100;
const tokens = (...ids: number[]): Int32Array => Int32Array.from(ids);
const row = (first: number, count: number): Int32Array => Int32Array.from({ length: count }, (_, i) => first + i);

class Fixture {
  readonly clock = new FakeClock();
  readonly checkpoints: Checkpoints;
  freed = 0;

  constructor(bytesMax = 1000) {
    this.checkpoints = new Checkpoints(this.clock, bytesMax);
  }

  add(of: Int32Array, { bytes = BYTES, isPreamble = false } = {}): void {
    const state: SavedState = {
      bytes,
      text: "",
      write: () => {
        throw new Error("nothing is written here");
      },
      [Symbol.dispose]: () => {
        this.freed++;
      },
    };
    this.checkpoints.add({ tokens: of, set: NO_ADAPTERS, session: null, isPreamble }, state);
  }
}

const lengths = (found: Iterable<Checkpoint>): number[] => [...found].map((one) => one.tokens.length);

test("the automatic budget is a share of what the process may use, within bounds", () => {
  const gib = 1024 ** 3;
  expect([1, 8, 32, 1000].map((memory) => automaticCheckpointBytes(memory * gib) / gib)).toEqual([1 / 8, 1 / 2, 2, 4]);
});

describe("finding", () => {
  test("those of a prompt's beginnings, the shortest first; not those of others or longer ones", () => {
    const { checkpoints, add } = bind(new Fixture());
    for (const of of [row(1, 5), row(1, 3), row(1, 9), tokens(1, 2, 7), tokens(8)]) add(of);
    expect(lengths(checkpoints.along(NO_ADAPTERS, row(1, 6)))).toEqual([3, 5]);
    expect(checkpoints.along(NO_ADAPTERS, tokens(9, 9))).toEqual([]);
    expect([
      checkpoints.has(NO_ADAPTERS, row(1, 5)),
      checkpoints.has(NO_ADAPTERS, row(1, 4)),
      checkpoints.has(NO_ADAPTERS, row(1, 6)),
    ]).toEqual([true, false, false]);
  });

  test("how far anybody shares a prompt, although nothing is there", () => {
    const { checkpoints, add } = bind(new Fixture());
    add(row(1, 20));
    expect(checkpoints.sharedLength(NO_ADAPTERS, Int32Array.of(...row(1, 12), 99))).toBe(12);
    expect(checkpoints.sharedLength(NO_ADAPTERS, tokens(99))).toBe(0);
  });
});

describe("the budget", () => {
  test("the one that is worth least goes, preambles last", () => {
    const fixture = new Fixture(3 * BYTES);
    const { checkpoints, add, clock } = bind(fixture);
    add(row(1, 4), { isPreamble: true });
    add(row(100, 50));
    clock.advance(1000);
    add(row(200, 20));
    add(row(300, 30));
    expect(lengths(checkpoints)).toEqual([4, 50, 30]);
    expect([checkpoints.bytes, fixture.freed]).toEqual([3 * BYTES, 1]);
  });

  test("one that is used stays", () => {
    const { checkpoints, add, clock } = bind(new Fixture(2 * BYTES));
    add(row(1, 30));
    add(row(100, 40));
    clock.advance(3_600_000);
    for (const checkpoint of checkpoints.along(NO_ADAPTERS, row(1, 30))) checkpoints.touch(checkpoint);
    add(row(200, 20));
    expect(lengths(checkpoints)).toEqual([30, 20]);
  });

  test("one that is larger than all of it costs the others nothing", () => {
    const fixture = new Fixture(3 * BYTES);
    fixture.add(row(1, 4));
    fixture.add(row(50, 4), { bytes: 4 * BYTES });
    expect([lengths(fixture.checkpoints), fixture.freed, fixture.checkpoints.bytes]).toEqual([[4], 1, BYTES]);
  });

  test("holds a number of small ones", () => {
    const fixture = new Fixture(1e9);
    for (let i = 0; i < 300; i++) fixture.add(row(1000 * i, 4), { bytes: 1 });
    expect([fixture.checkpoints.size, fixture.freed]).toEqual([256, 44]);
    fixture.checkpoints[Symbol.dispose]();
    expect([fixture.checkpoints.size, fixture.checkpoints.bytes, fixture.freed]).toEqual([0, 0, 300]);
  });
});

/** The parts of a fixture by themselves. */
function bind(fixture: Fixture) {
  const { checkpoints, clock } = fixture;
  return { checkpoints, clock, add: fixture.add.bind(fixture) };
}
