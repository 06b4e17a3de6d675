import { expect, test } from "bun:test";
import { silentLogger } from "../../src/lib/log.ts";
import type { StoredResponse } from "../../src/state/response-store.ts";
import { State } from "../../src/state/state.ts";
import { FakeClock } from "../support/fake-clock.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

function makeState(bytesMax: number) {
  const clock = new FakeClock();
  const limits = { bytesMax, ageMsMax: 30 * DAY_MS };
  return { clock, state: new State({ folder: null, log: silentLogger, clock, limits }) };
}

function makeResponse(id: string, previousId: string | null = null): StoredResponse {
  const output = [{ id: `msg_${id}`, body: { text: "y" } }];
  const rest = { createdMs: 0, status: "completed", pid: 1, session: null, body: {}, events: null };
  return { id, previousId, output, ...rest };
}

const input = (id: string, text: string) => [{ id: `in_${id}`, body: { text } }];

test("the longest unused go first, with their items; a chain that is continued stays", () => {
  const { clock, state } = makeState(1024 * 1024);
  state.responses.save(makeResponse("root"), input("root", "z"));
  for (let i = 0; i < 200; i++) {
    clock.advance(1000);
    const id = `r${i}`;
    state.responses.save(makeResponse(id), input(id, "x".repeat(20_000)));
    if (i % 10 === 0) expect(state.responses.readChain("root", 10).kind).toBe("whole");
  }
  expect(state.responses.read("root")).not.toBeNull();
  expect(state.responses.read("r199")).not.toBeNull();
  expect(state.responses.read("r0")).toBeNull();
  expect(state.responses.findItem("in_r0")).toBeNull();
  const kept = Array.from({ length: 200 }, (_, i) => state.responses.read(`r${i}`)).filter((found) => found !== null);
  // Some over the budget may come between two checks.
  expect(kept.length * 20_000).toBeLessThan(1.5 * 1024 * 1024);
  expect(kept.length * 20_000).toBeGreaterThan(0.5 * 1024 * 1024);
});

test("what was unused for thirty days goes", () => {
  const { clock, state } = makeState(1024 * 1024);
  state.responses.save(makeResponse("old"), input("old", "x"));
  state.responses.save(makeResponse("used"), input("used", "x"));
  const conversation = state.conversations.create("conv", {}, []);
  clock.advance(20 * DAY_MS);
  state.responses.readChain("used", 10);
  clock.advance(11 * DAY_MS);
  for (let i = 0; i < 20; i++) state.responses.save(makeResponse(`n${i}`), []);
  expect(state.responses.read("old")).toBeNull();
  expect(state.responses.read("used")).not.toBeNull();
  expect(state.conversations.read(conversation.id)).not.toBeNull();
});

test("a chain is walked to its root, and no further than it may", () => {
  const { state } = makeState(1024 * 1024);
  state.responses.save(makeResponse("a"), input("a", "1"));
  state.responses.save(makeResponse("b", "a"), input("b", "2"));
  state.responses.save(makeResponse("c", "b"), input("c", "3"));
  const chain = state.responses.readChain("c", 3);
  expect(chain).toMatchObject({ kind: "whole", links: [{ id: "a" }, { id: "b" }, { id: "c" }] });
  expect(state.responses.readChain("c", 2)).toEqual({ kind: "broken", missing: "a", after: "b" });
  state.responses.save(makeResponse("a", "c"));
  expect(state.responses.readChain("c", 10)).toEqual({ kind: "broken", missing: "c", after: "a" });
});
