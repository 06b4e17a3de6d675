// The ledger: seq-ids and cells are given once and come back whole.

import { expect, test } from "bun:test";
import { KvLedger } from "../../../src/engine/prefix/kv-ledger.ts";
import { AssertionFailed } from "../../../src/lib/assert.ts";
import { makeRandom } from "../../support/random.ts";

test("seq-ids are 0 to n-1, each held by one", () => {
  const ledger = new KvLedger(100, 3);
  expect([ledger.open(), ledger.open(), ledger.open()].sort()).toEqual([0, 1, 2]);
  expect(ledger.freeSequences).toBe(0);
  expect(() => ledger.open()).toThrow(AssertionFailed);
  ledger.close(1);
  expect(ledger.open()).toBe(1);
});

test("cells are counted and come back with their sequence", () => {
  const ledger = new KvLedger(100, 2);
  const [first, second] = [ledger.open(), ledger.open()];
  ledger.grow(first, 60);
  ledger.grow(second, 30);
  ledger.grow(first, 10);
  expect([ledger.used, ledger.free]).toEqual([100, 0]);
  ledger.checkIntegrity();
  ledger.close(first);
  expect([ledger.used, ledger.free]).toEqual([30, 70]);
  ledger.close(second);
  expect([ledger.used, ledger.free, ledger.freeSequences]).toEqual([0, 100, 2]);
  ledger.checkIntegrity();
});

test("what can't be is a bug", () => {
  const ledger = new KvLedger(10, 1);
  expect(() => ledger.grow(0, 1)).toThrow("is not open");
  const seqId = ledger.open();
  expect(() => ledger.grow(seqId, 11)).toThrow("11 cells of 10 free ones");
  ledger.close(seqId);
  expect(() => ledger.close(seqId)).toThrow("is not open");
  expect(ledger.used).toBe(0);
});

test("shared cells are counted once, and freed by the last who holds them", () => {
  const ledger = new KvLedger(100, 3);
  const [first, second, third] = [ledger.open(), ledger.open(), ledger.open()];
  ledger.grow(first, 40);
  ledger.fork(first, second, 25);
  ledger.fork(second, third, 10);
  ledger.grow(second, 5);
  expect([ledger.used, ledger.length(second), ledger.length(third)]).toEqual([45, 30, 10]);
  expect([first, second, third].map((seqId) => ledger.exclusive(seqId))).toEqual([15, 5, 0]);
  ledger.close(first);
  expect(ledger.used).toBe(30);
  ledger.close(second);
  expect([ledger.used, ledger.exclusive(third)]).toEqual([10, 10]);
  ledger.grow(third, 1);
  ledger.checkIntegrity();
  ledger.close(third);
  expect(ledger.used).toBe(0);
});

test("a sequence that is cut frees what nobody else holds", () => {
  const ledger = new KvLedger(100, 2);
  const [first, second] = [ledger.open(), ledger.open()];
  ledger.grow(first, 40);
  ledger.fork(first, second, 30);
  ledger.truncate(first, 20);
  expect([ledger.used, ledger.length(first), ledger.length(second)]).toEqual([30, 20, 30]);
  ledger.truncate(second, 5);
  expect([ledger.used, ledger.length(second)]).toEqual([20, 5]);
  ledger.checkIntegrity();
});

test("idle cells are those that no running sequence holds", () => {
  const ledger = new KvLedger(100, 2);
  const [first, second] = [ledger.open(), ledger.open()];
  ledger.grow(first, 40);
  ledger.fork(first, second, 30);
  ledger.setLive(first, false);
  expect(ledger.idle).toBe(10);
  ledger.setLive(second, false);
  expect(ledger.idle).toBe(40);
  ledger.setLive(first, true);
  ledger.close(second);
  expect([ledger.idle, ledger.used]).toEqual([0, 40]);
  ledger.checkIntegrity();
});

test("holds against a count of every cell, over random forks, cuts and ends", () => {
  for (let seed = 0; seed < 300; seed++) {
    const random = makeRandom(seed);
    const ledger = new KvLedger(1000, 6);
    // Each sequence as the identities of its cells.
    const model = new Map<number, { cells: number[]; live: boolean }>();
    let nextCell = 0;
    for (let action = 0; action < 50; action++) {
      const ids = [...model.keys()];
      const id = ids[random(Math.max(1, ids.length))];
      const kind = random(6);
      if (id === undefined || (kind === 0 && ledger.freeSequences > 0)) {
        const opened = ledger.open();
        model.set(opened, { cells: [], live: true });
        const from = id === undefined ? undefined : model.get(id);
        if (id !== undefined && from !== undefined && from.cells.length > 0) {
          const length = 1 + random(from.cells.length);
          ledger.fork(id, opened, length);
          model.set(opened, { cells: from.cells.slice(0, length), live: true });
        }
        continue;
      }
      const one = model.get(id) ?? { cells: [], live: true };
      if (kind === 1) {
        ledger.close(id);
        model.delete(id);
      } else if (kind === 2) {
        const length = random(one.cells.length + 1);
        ledger.truncate(id, length);
        one.cells.length = length;
      } else if (kind === 3) {
        one.live = !one.live;
        ledger.setLive(id, one.live);
      } else {
        const count = 1 + random(9);
        if (count > ledger.free) continue;
        ledger.grow(id, count);
        for (let i = 0; i < count; i++) one.cells.push(nextCell++);
      }
      const all = [...model.values()];
      const used = new Set(all.flatMap(({ cells }) => cells));
      const live = new Set(all.filter((other) => other.live).flatMap(({ cells }) => cells));
      expect([ledger.used, ledger.idle]).toEqual([used.size, used.size - live.size]);
      for (const [seqId, { cells }] of model) {
        const others = new Set([...model].filter(([other]) => other !== seqId).flatMap(([, other]) => other.cells));
        expect(ledger.length(seqId)).toBe(cells.length);
        expect(ledger.exclusive(seqId)).toBe(cells.filter((cell) => !others.has(cell)).length);
      }
      ledger.checkIntegrity();
    }
  }
});
