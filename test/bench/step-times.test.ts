// Where a step's time goes, from two readings of what a server tells of itself.

import { expect, test } from "bun:test";
import { breakDown, readStepSums } from "../../src/bench/step-times.ts";

const target = (url: string) => ({ url, apiKey: null, model: "m" });
const stats = { steps: 10, times: { stepMs: 100, decodeMs: 70, sampleMs: 20, sendMs: 5 } };

test("an average step, and what lies between two of them", () => {
  const before = { steps: 10, stepMs: 100, decodeMs: 70, sampleMs: 20, sendMs: 5 };
  const after = { steps: 30, stepMs: 340, decodeMs: 250, sampleMs: 60, sendMs: 15 };
  expect(breakDown(before, after, 300)).toEqual({ computeMs: 9, sampleMs: 2, otherMs: 1, betweenMs: 3 });
  expect(breakDown(null, before, 120)).toEqual({ computeMs: 7, sampleMs: 2, otherMs: 1, betweenMs: 2 });
});

test("nothing is known without two readings, or without steps", () => {
  const nothing = { computeMs: null, sampleMs: null, otherMs: null, betweenMs: null };
  const sums = { steps: 10, stepMs: 1, decodeMs: 1, sampleMs: 0, sendMs: 0 };
  expect(breakDown(sums, sums, 100)).toEqual(nothing);
  expect(breakDown(null, null, 100)).toEqual(nothing);
});

test("engines are added up; another kind of server tells nothing", async () => {
  const replies: Record<string, Response> = {
    "/ours/api/backend/info": Response.json({ engines: [{ stats }, { stats: null }, { stats }] }),
    "/idle/api/backend/info": Response.json({ engines: [] }),
    "/other/api/backend/info": new Response("no such page", { status: 404 }),
  };
  using server = Bun.serve({ port: 0, fetch: (request) => replies[new URL(request.url).pathname] ?? new Response("") });
  const ask = (name: string) => readStepSums(target(`${server.url.origin}/${name}`));
  expect(await ask("ours")).toEqual({ steps: 20, stepMs: 200, decodeMs: 140, sampleMs: 40, sendMs: 10 });
  expect(await ask("idle")).toBeNull();
  expect(await ask("other")).toBeNull();
  expect(await ask("none")).toBeNull();
});
