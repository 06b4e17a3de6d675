// Where the reading of a prompt stops for a checkpoint.

import { expect, test } from "bun:test";
import { chooseStops, type PromptFacts, STOP_TOKENS_MIN } from "../../../src/engine/prefix/reading-stops.ts";
import { makeRandom } from "../../support/random.ts";

const facts = (changes: Partial<PromptFacts>): PromptFacts => ({
  promptLength: 1000,
  computed: 0,
  preambleLength: 0,
  turns: [],
  sharedLength: 0,
  ...changes,
});

test("without anything known: before the last token", () => {
  expect(chooseStops(facts({}))).toEqual([999]);
});

test("a chat: the system text, and where the last messages begin", () => {
  expect(chooseStops(facts({ preambleLength: 300, turns: [900, 990] }))).toEqual([300, 900, 990]);
});

test("where another prompt left this one", () => {
  expect(chooseStops(facts({ preambleLength: 300, turns: [900, 990], sharedLength: 500 }))).toEqual([
    300, 500, 900, 990,
  ]);
});

test("of places that lie close together the more useful one", () => {
  expect(chooseStops(facts({ preambleLength: 980, turns: [980, 990] }))).toEqual([980]);
  expect(chooseStops(facts({ turns: [300, 990], preambleLength: 300, sharedLength: 305 }))).toEqual([300, 990]);
  expect(chooseStops(facts({ turns: [985, 990], sharedLength: 989 }))).toEqual([990]);
});

test("none behind what is there already, nor where hardly anything is to be read", () => {
  expect(chooseStops(facts({ turns: [900, 990], preambleLength: 300, computed: 900 }))).toEqual([990]);
  expect(chooseStops(facts({ turns: [900, 990], preambleLength: 300, computed: 980 }))).toEqual([]);
  expect(chooseStops(facts({ promptLength: STOP_TOKENS_MIN }))).toEqual([]);
});

test("random facts: in order, apart, inside the prompt, and few", () => {
  const random = makeRandom(5);
  for (let i = 0; i < 2000; i++) {
    const promptLength = 1 + random(200);
    const turns = [random(promptLength + 5), random(promptLength + 5)].sort((a, b) => a - b);
    const computed = random(promptLength);
    const given = facts({
      promptLength,
      computed,
      turns: turns.slice(random(3)),
      preambleLength: random(promptLength + 5),
      sharedLength: random(promptLength + 5),
    });
    const stops = chooseStops(given);
    expect(stops.length).toBeLessThanOrEqual(4);
    for (const [at, stop] of stops.entries()) {
      expect(stop - Math.max(computed, stops[at - 1] ?? 0)).toBeGreaterThanOrEqual(STOP_TOKENS_MIN);
      expect(stop).toBeLessThan(promptLength);
    }
  }
});
