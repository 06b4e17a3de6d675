// Whose memory another model gets: hand-made cases, and rules that hold for thousands of random ones.

import { describe, expect, test } from "bun:test";
import { chooseVictims, type Holder, worthOf } from "../../../src/router/residency/eviction.ts";
import { addPools } from "../../../src/router/residency/pools.ts";
import { makeRandom } from "../../support/random.ts";

const holder = (key: string, changes: Partial<Holder> = {}): Holder => ({
  key,
  bytes: [10],
  pinned: false,
  priority: 0,
  running: 0,
  worth: 1,
  lastUsedMs: 0,
  standing: "open",
  ...changes,
});

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
    ["it never fits", [holder("a")], 21, { kind: "refused", pool: 0, bytesMax: 20 }],
    ["pinned ones hold it", [holder("a", { pinned: true })], 11, { kind: "refused", pool: 0, bytesMax: 10 }],
    ["a pinned one ends", [holder("a", { pinned: true, standing: "going" })], 20, { kind: "wait" }],
  ] as const)("%s", (_, holders, need, expected) => {
    expect(chooseVictims(holders, [need], [20])).toEqual(expected);
  });

  test.each([
    ["the idle one", { running: 1 }, {}],
    ["the less worthy", { worth: 2 }, { worth: 1, lastUsedMs: 9 }],
    ["the one that nobody used for longer", { lastUsedMs: 9 }, { lastUsedMs: 8 }],
    ["one of lower priority, though it works", { priority: 1 }, { running: 3, worth: 9, lastUsedMs: 9 }],
    ["one that closes already", {}, { standing: "closing", worth: 1, lastUsedMs: 5 }],
    ["an idle one before one that closes and works", { standing: "closing", running: 1 }, { lastUsedMs: 5 }],
  ] as const)("%s goes first", (_, stays, goes) => {
    const choice = chooseVictims([holder("stays", stays), holder("goes", goes)], [10], [20]);
    expect(choice).toEqual({ kind: "evict", keys: ["goes"] });
  });

  test("small ones that a large one makes needless stay", () => {
    const holders = [holder("small", { bytes: [2] }), holder("large", { bytes: [18], lastUsedMs: 1 })];
    expect(chooseVictims(holders, [18], [20])).toEqual({ kind: "evict", keys: ["large"] });
  });

  test("memory of another place is of no use", () => {
    const holders = [holder("host", { bytes: [10, 0] }), holder("device", { bytes: [1, 10], lastUsedMs: 9 })];
    expect(chooseVictims(holders, [0, 10], [20, 10])).toEqual({ kind: "evict", keys: ["device"] });
    expect(chooseVictims(holders, [0, 11], [20, 10])).toEqual({ kind: "refused", pool: 1, bytesMax: 10 });
    expect(chooseVictims(holders, [0, 11], [20, null])).toEqual({ kind: "fits" });
    expect(chooseVictims(holders, [99, 99], [])).toEqual({ kind: "fits" });
  });

  test("rules that hold for random engines and pools", () => {
    const kinds = new Map<string, number>();
    for (let seed = 1; seed <= 5_000; seed++) {
      const pick = makeRandom(seed);
      const standings = ["open", "open", "closing", "held", "going"] as const;
      const count = 1 + pick(3);
      const draw = (most: number) => Array.from({ length: count }, () => pick(most));
      const holders = Array.from({ length: pick(7) }, (_, at) =>
        holder(`m${at}`, {
          bytes: draw(20),
          pinned: pick(5) === 0,
          priority: pick(3) - 1,
          running: pick(2),
          worth: pick(4),
          lastUsedMs: pick(100),
          standing: standings[pick(5)] ?? "open",
        }),
      );
      const bytesOf = (some: readonly Holder[]) =>
        addPools(
          some.map(({ bytes }) => bytes),
          count,
        );
      const budgets = addPools([bytesOf(holders), draw(10)], count);
      const need = draw(40);
      const before = JSON.stringify(holders);
      const choice = chooseVictims(holders, need, budgets);
      kinds.set(choice.kind, (kinds.get(choice.kind) ?? 0) + 1);
      expect(JSON.stringify(holders)).toBe(before);
      const fits = (gone: readonly Holder[]) => {
        const stay = bytesOf(holders.filter((one) => !gone.includes(one)));
        return need.every((bytes, pool) => bytes + (stay[pool] ?? 0) <= (budgets[pool] ?? 0));
      };
      const going = holders.filter(({ standing }) => standing === "going");
      const mayGo = holders.filter((one) => !one.pinned || one.standing === "going");
      expect(choice.kind === "fits").toBe(fits([]));
      expect(choice.kind === "refused").toBe(!fits(mayGo));
      if (choice.kind !== "evict") continue;
      const victims = holders.filter(({ key }) => choice.keys.includes(key));
      expect(victims).toHaveLength(choice.keys.length);
      expect(victims.every((one) => !one.pinned && (one.standing === "open" || one.standing === "closing"))).toBe(true);
      expect([fits(going), fits([...going, ...victims])]).toEqual([false, true]);
      // Nobody goes for nothing.
      for (const one of victims) expect(fits([...going, ...victims.filter((other) => other !== one)])).toBe(false);
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
