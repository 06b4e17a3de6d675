// What a death means for the requests that were there, and how long it is remembered.

import { describe, expect, test } from "bun:test";
import type { GenerationRequest } from "../../../src/protocol/generation.ts";
import { CrashTable, describeGeneration, hashCall, judgeCrash } from "../../../src/router/engines/crash-policy.ts";

const MINUTES = 60_000;

test.each([
  [1, false, "retry"],
  [2, false, "refuse"],
  [5, false, "refuse"],
  [1, true, "tell"],
  [2, true, "tell"],
] as const)("%d deaths, produced: %p → %s", (deaths, produced, verdict) => {
  expect(judgeCrash(deaths, produced)).toBe(verdict);
});

describe("the table", () => {
  test("refuses from the second death on", () => {
    const table = new CrashTable();
    expect(table.isRefused("x", 0)).toBe(false);
    expect([table.note("x", 1, 0), table.isRefused("x", 0)]).toEqual([1, false]);
    expect([table.note("x", 2, 5), table.isRefused("x", 5)]).toEqual([2, true]);
    expect(table.isRefused("y", 5)).toBe(false);
  });

  test("counts one death once, however many identical requests were there", () => {
    const table = new CrashTable();
    expect([table.note("x", 1, 0), table.note("x", 1, 0), table.note("x", 1, 1)]).toEqual([1, 1, 1]);
    expect(table.note("x", 2, 2)).toBe(2);
  });

  test("forgets after ten minutes without a death, and when the request was answered", () => {
    const table = new CrashTable();
    table.note("x", 1, 0);
    table.note("x", 2, 5 * MINUTES);
    expect(table.isRefused("x", 15 * MINUTES - 1)).toBe(true);
    expect(table.isRefused("x", 15 * MINUTES)).toBe(false);
    expect(table.count(15 * MINUTES)).toBe(0);
    table.note("x", 1, 0);
    table.forget("x");
    expect(table.note("x", 2, 1)).toBe(1);
  });

  test("counts only what it still remembers", () => {
    const table = new CrashTable();
    for (const [i, key] of ["x", "y", "z"].entries()) table.note(key, 1, i * MINUTES);
    table.note("x", 2, 3 * MINUTES);
    expect([2, 11, 12, 13].map((minutes) => table.count(minutes * MINUTES))).toEqual([3, 2, 1, 0]);
  });

  test("is bounded: the request whose death was longest ago leaves", () => {
    const table = new CrashTable();
    for (const engine of [1, 2]) table.note("first", engine, 0);
    for (let i = 0; i < 1023; i++) table.note(String(i), 3, 1);
    expect([table.count(1), table.isRefused("first", 1)]).toEqual([1024, true]);
    table.note("last", 3, 1);
    expect([table.count(1), table.isRefused("first", 1)]).toEqual([1024, false]);
  });
});

describe("the same request", () => {
  const request: GenerationRequest = {
    prompt: { kind: "text", text: "hi" },
    sampling: { temperature: 0, seed: 1 },
    stop: ["a"],
    maxTokens: 5,
  };
  const hash = (changes: Partial<GenerationRequest>) => hashCall("/m", describeGeneration({ ...request, ...changes }));

  test.each([
    [{ sampling: { temperature: 0, seed: 2 } }],
    [{ priority: "batch", session: "s", cache: { keep: false } }],
  ] as const)("it still is with %j", (changes) => {
    expect(hash(changes)).toBe(hash({}));
  });

  test.each([
    [{ prompt: { kind: "text", text: "ho" } }],
    [{ sampling: { temperature: 1, seed: 1 } }],
    [{ stop: [] }],
    [{ maxTokens: 6 }],
  ] as const)("it is not with %j", (changes) => {
    expect(hash(changes as never)).not.toBe(hash({}));
  });

  test("nor for another model", () => {
    expect(hashCall("/n", describeGeneration(request))).not.toBe(hash({}));
  });
});
