import { expect, test } from "bun:test";
import { type Ending, sumEndings } from "../../src/api/ending.ts";
import type { CacheReport } from "../../src/protocol/generation.ts";

const DIVERGED = { token: 4, old: "a", new: "b" };

function ending(promptTokens: number, completionTokens: number, cache: Partial<CacheReport>, ms: number): Ending {
  const whole = { live: 0, retained: 0, disk: 0, ...cache };
  return {
    usage: { promptTokens, completionTokens, cachedTokens: whole.live + whole.retained + whole.disk },
    cache: whole,
    timings: { queuedMs: ms, promptMs: 10 * ms, decodeMs: 100 * ms },
  };
}

test("one choice speaks for itself", () => {
  const only = ending(10, 3, { retained: 4, diverged: DIVERGED }, 1);
  expect(sumEndings([only], 1)).toEqual(only);
});

test("choices of one prompt: it counts once, by the choice that read it, whichever that was", () => {
  const total = sumEndings(
    [
      ending(10, 3, { live: 9 }, 5),
      ending(10, 4, { retained: 4, diverged: DIVERGED }, 1),
      ending(10, 5, { live: 9 }, 2),
    ],
    3,
  );
  expect(total).toEqual({
    usage: { promptTokens: 10, completionTokens: 12, cachedTokens: 4 },
    cache: { live: 0, retained: 4, disk: 0, diverged: DIVERGED },
    timings: { queuedMs: 1, promptMs: 10, decodeMs: 500 },
  });
});

test("tokens that left a context are those of all choices", () => {
  const shifted = ending(10, 30, {}, 1);
  shifted.usage.droppedTokens = 12;
  expect(sumEndings([shifted, ending(10, 3, {}, 1), shifted], 3).usage.droppedTokens).toBe(24);
});

test("several prompts are added up, and where one diverged is not said", () => {
  const total = sumEndings(
    [
      ending(10, 1, { diverged: DIVERGED }, 1),
      ending(10, 2, { live: 9 }, 1),
      ending(20, 3, { live: 19 }, 2),
      ending(20, 4, { disk: 16 }, 3),
    ],
    2,
  );
  expect(total.usage).toEqual({ promptTokens: 30, completionTokens: 10, cachedTokens: 16 });
  expect(total.cache).toEqual({ live: 0, retained: 0, disk: 16 });
  expect(total.timings).toEqual({ queuedMs: 3, promptMs: 30, decodeMs: 300 });
});
