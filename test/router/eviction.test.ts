// Whose memory another model gets: hand-made cases, and rules that hold for thousands of random ones.

import { describe, expect, test } from "bun:test";
import { chooseVictims, type Holder, worthOf } from "../../src/router/eviction.ts";
import { makeRandom } from "../support/random.ts";

const holder = (key: string, changes: Partial<Holder> = {}): Holder => ({
  key,
  bytes: 10,
  pinned: false,
  priority: 0,
  running: 0,
  worth: 1,
  lastUsedMs: 0,
  standing: "open",
  ...changes,
});

const sum = (holders: readonly Holder[]) => holders.reduce((total, { bytes }) => total + bytes, 0);

describe("chooseVictims", () => {
  test.each([
    ["there is room", [holder("a")], 10, { kind: "fits" }],
    ["somebody goes already", [holder("a", { standing: "going" }), holder("b")], 10, { kind: "wait" }],
    [
      "all have their turns",
      [holder("a", { standing: "held" }), holder("b", { standing: "held" })],
      10,
      { kind: "wait" },
    ],
    ["it never fits", [holder("a")], 21, { kind: "refused", bytesMax: 20 }],
    ["pinned ones hold it", [holder("a", { pinned: true })], 11, { kind: "refused", bytesMax: 10 }],
    ["a pinned one ends", [holder("a", { pinned: true, standing: "going" })], 20, { kind: "wait" }],
  ] as const)("%s", (_, holders, need, expected) => {
    expect(chooseVictims(holders, need, 20)).toEqual(expected);
  });

  test.each([
    ["the idle one", { running: 1 }, {}],
    ["the less worthy", { worth: 2 }, { worth: 1, lastUsedMs: 9 }],
    ["the one that nobody used for longer", { lastUsedMs: 9 }, { lastUsedMs: 8 }],
    ["one of lower priority, though it works", { priority: 1 }, { running: 3, worth: 9, lastUsedMs: 9 }],
    ["one that closes already", {}, { standing: "closing", worth: 1, lastUsedMs: 5 }],
    ["an idle one before one that closes and works", { standing: "closing", running: 1 }, { lastUsedMs: 5 }],
  ] as const)("%s goes first", (_, stays, goes) => {
    const choice = chooseVictims([holder("stays", stays), holder("goes", goes)], 10, 20);
    expect(choice).toEqual({ kind: "evict", keys: ["goes"] });
  });

  test("small ones that a large one makes needless stay", () => {
    const holders = [holder("small", { bytes: 2 }), holder("large", { bytes: 18, lastUsedMs: 1 })];
    expect(chooseVictims(holders, 18, 20)).toEqual({ kind: "evict", keys: ["large"] });
  });

  test("rules that hold for random engines", () => {
    const kinds = new Map<string, number>();
    for (let seed = 1; seed <= 5_000; seed++) {
      const pick = makeRandom(seed);
      const standings = ["open", "open", "closing", "held", "going"] as const;
      const holders = Array.from({ length: pick(7) }, (_, at) =>
        holder(`m${at}`, {
          bytes: 1 + pick(20),
          pinned: pick(5) === 0,
          priority: pick(3) - 1,
          running: pick(2),
          worth: pick(4),
          lastUsedMs: pick(100),
          standing: standings[pick(5)] ?? "open",
        }),
      );
      const budget = sum(holders) + pick(10);
      const need = 1 + pick(40);
      const before = JSON.stringify(holders);
      const choice = chooseVictims(holders, need, budget);
      kinds.set(choice.kind, (kinds.get(choice.kind) ?? 0) + 1);
      expect(JSON.stringify(holders)).toBe(before);
      const free = budget - sum(holders);
      const going = holders.filter(({ standing }) => standing === "going");
      const pinned = holders.filter((one) => one.pinned && one.standing !== "going");
      expect(choice.kind === "fits").toBe(need <= free && need <= budget - sum(pinned));
      expect(choice.kind === "refused").toBe(need > budget - sum(pinned));
      if (choice.kind !== "evict") continue;
      const victims = holders.filter(({ key }) => choice.keys.includes(key));
      expect(victims).toHaveLength(choice.keys.length);
      expect(victims.every((one) => !one.pinned && (one.standing === "open" || one.standing === "closing"))).toBe(true);
      expect(need > free + sum(going)).toBe(true);
      const freed = free + sum(going) + sum(victims);
      expect(freed >= need).toBe(true);
      // Nobody goes for nothing.
      for (const { bytes } of victims) expect(freed - bytes < need).toBe(true);
    }
    expect([...kinds.keys()].sort()).toEqual(["evict", "fits", "refused", "wait"]);
  });
});

test("worth rises with what a reload costs, and with the level; small differences are none", () => {
  const GIB = 1024 ** 3;
  const cheap = worthOf(0, { reloadMs: 1000, bytes: GIB });
  expect(worthOf(0, { reloadMs: 1100, bytes: GIB })).toBe(cheap);
  expect(worthOf(0, { reloadMs: 8000, bytes: GIB })).toBeGreaterThan(cheap);
  expect(worthOf(5, { reloadMs: 1000, bytes: GIB })).toBe(5 + cheap);
  expect(worthOf(0, { reloadMs: 0, bytes: 0 })).toBeGreaterThan(0);
});
