// When garbage is collected: often while nothing runs, seldom beside work, and never for nothing.

import { expect, test } from "bun:test";
import { HeapSweeper } from "../../src/lib/heap-sweeper.ts";

/** How often garbage is collected over so many pieces of work, each followed by a look. */
function countSweeps(work: number, isQuiet: boolean): number {
  let sweeps = 0;
  const sweeper = new HeapSweeper(() => {
    sweeps++;
  });
  for (let i = 0; i < work; i++) {
    sweeper.note();
    sweeper.sweep(isQuiet);
    sweeper.sweep(isQuiet);
  }
  return sweeps;
}

test("often while nothing runs, seldom beside work", () => {
  expect(countSweeps(127, true)).toBe(0);
  expect(countSweeps(512, true)).toBe(4);
  expect(countSweeps(511, false)).toBe(0);
  expect(countSweeps(512, false)).toBe(1);
});
