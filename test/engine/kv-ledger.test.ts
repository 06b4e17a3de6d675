// The ledger: seq-ids and cells are given once and come back whole.

import { expect, test } from "bun:test";
import { KvLedger } from "../../src/engine/kv-ledger.ts";
import { AssertionFailed } from "../../src/lib/assert.ts";

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
  expect(() => ledger.close(seqId)).toThrow("closed twice");
  expect(ledger.used).toBe(0);
});
