// The radix tree against the obvious way: compare a prompt with every sequence, token by token.

import { expect, test } from "bun:test";
import { PrefixIndex } from "../../../src/engine/prefix/prefix-index.ts";
import { makeRandom } from "../../support/random.ts";

function commonLength(a: Int32Array, b: Int32Array): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

test("finds what comparing with each sequence finds, over random inserts and removes", () => {
  for (let seed = 0; seed < 200; seed++) {
    const random = makeRandom(seed);
    const index = new PrefixIndex();
    const held = new Map<number, Int32Array>();
    // Few tokens, so that prefixes are shared, split and end within each other.
    const make = () => Int32Array.from({ length: random(12) }, () => random(3));
    for (let action = 0; action < 60; action++) {
      const key = random(10);
      if (held.delete(key)) index.remove(key);
      else if (random(3) > 0) {
        const tokens = make();
        held.set(key, tokens);
        index.insert(key, tokens);
      }
      const prompt = make();
      const expected = [...held]
        .map(([other, tokens]) => ({ key: other, length: commonLength(tokens, prompt) }))
        .filter(({ length }) => length > 0);
      expect(index.matches(prompt).toSorted((a, b) => a.key - b.key)).toEqual(
        expected.toSorted((a, b) => a.key - b.key),
      );
      expect(index.size).toBe(held.size);
    }
  }
});

test("a sequence is there once, and unknown ones may be removed", () => {
  const index = new PrefixIndex();
  index.insert(1, Int32Array.of(1, 2));
  expect(() => index.insert(1, Int32Array.of(3))).toThrow("in the index already");
  index.remove(2);
  index.remove(1);
  expect(index.matches(Int32Array.of(1, 2))).toEqual([]);
});

test("the version changes with what the answers depend on", () => {
  const index = new PrefixIndex();
  const before = index.version;
  index.insert(1, Int32Array.of(1));
  const inserted = index.version;
  index.matches(Int32Array.of(1));
  expect(index.version).toBe(inserted);
  index.remove(1);
  expect(new Set([before, inserted, index.version]).size).toBe(3);
});
