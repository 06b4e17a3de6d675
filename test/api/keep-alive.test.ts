// `keep_alive` in all the ways that clients write it.

import { expect, test } from "bun:test";
import { readKeepAlive } from "../../src/api/ollama/keep-alive.ts";

test.each([
  [undefined, undefined],
  [0, 0],
  ["0", 0],
  ["0s", 0],
  [300, 300_000],
  [1.5, 1500],
  ["10", 10_000],
  ["5m", 300_000],
  ["1h30m", 5_400_000],
  ["1.5h", 5_400_000],
  ["250ms", 250],
  ["+2s", 2000],
  ["1000us", 1],
  [" 24h ", 86_400_000],
  [-1, null],
  ["-1", null],
  ["-1m", null],
  [1e12, null],
  ["100000h", null],
])("%j is %p ms", (value, expected) => {
  expect(readKeepAlive(value)).toBe(expected as number);
});

test.each(["soon", "", "5 m", "m", "1h-3m", "5d", "1e3", "--1", "NaN"])("%j is refused", (value) => {
  expect(() => readKeepAlive(value)).toThrow("`keep_alive`");
});
