// What a kept sequence is worth: tokens, halved with the time that nobody used it; system text and tools last.

import { expect, test } from "bun:test";
import { chooseLeast, type Keepable, worthOf } from "../../../src/engine/prefix/retention.ts";

const MINUTE = 60_000;
const kept = (seqId: number, tokens: number, usedMs: number, isPreamble = false): Keepable => ({
  seqId,
  tokens,
  usedMs,
  session: null,
  isPreamble,
});

test("ten minutes without use halve it", () => {
  const one = kept(1, 1000, 0);
  expect(worthOf(one, 0)).toBe(1000);
  expect(worthOf(one, 10 * MINUTE)).toBe(500);
  expect(worthOf(one, 30 * MINUTE)).toBe(125);
});

test("the shortest goes first, and a long one once it is long unused", () => {
  const now = 60 * MINUTE;
  expect(chooseLeast([], now)).toBeNull();
  expect(chooseLeast([kept(1, 8000, now), kept(2, 30, now), kept(3, 400, now)], now)?.seqId).toBe(2);
  expect(chooseLeast([kept(1, 8000, 0), kept(2, 30, now), kept(3, 400, now)], now)?.seqId).toBe(2);
  expect(chooseLeast([kept(1, 8000, 0), kept(2, 200, now)], now)?.seqId).toBe(1);
});

test("what is system text and tools alone goes last", () => {
  const list = [kept(1, 20, 0, true), kept(2, 8000, 60 * MINUTE)];
  expect(chooseLeast(list, 60 * MINUTE)?.seqId).toBe(2);
  expect(chooseLeast([list[0] as Keepable], 0)?.seqId).toBe(1);
});

test("a conversation with a name outlives what passes by, for half an hour", () => {
  const named: Keepable = { ...kept(1, 3000, 0), session: "main" };
  expect(chooseLeast([named, kept(2, 2500, 25 * MINUTE)], 25 * MINUTE)?.seqId).toBe(2);
  expect(chooseLeast([named, kept(2, 2500, 60 * MINUTE)], 60 * MINUTE)?.seqId).toBe(1);
});
