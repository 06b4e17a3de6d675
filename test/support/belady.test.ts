// MIN against all possible choices of victims, on short sequences.

import { expect, test } from "bun:test";
import { countLeastLoads } from "./belady.ts";
import { makeRandom } from "./random.ts";

/** Tries every victim. */
function countByForce(sequence: readonly string[], places: number, resident: readonly string[] = []): number {
  const [key, ...rest] = sequence;
  if (key === undefined) return 0;
  if (resident.includes(key)) return countByForce(rest, places, resident);
  if (resident.length < places) return 1 + countByForce(rest, places, [...resident, key]);
  const ways = resident.map((victim) => {
    const left = resident.filter((one) => one !== victim);
    return countByForce(rest, places, [...left, key]);
  });
  return 1 + Math.min(...ways);
}

test("a known case", () => {
  expect(countLeastLoads([..."abcabdab"], 2)).toBe(6);
  expect(countLeastLoads([..."aaaa"], 1)).toBe(1);
  expect(countLeastLoads([], 1)).toBe(0);
});

test("nothing is better, on random sequences", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const pick = makeRandom(seed);
    const sequence = Array.from({ length: 10 }, () => "abcd"[pick(4)] ?? "a");
    const places = 1 + pick(3);
    expect(countLeastLoads(sequence, places)).toBe(countByForce(sequence, places));
  }
});
