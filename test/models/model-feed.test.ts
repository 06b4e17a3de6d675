// Models that come and go are told while somebody listens, and nothing is looked at while nobody does.

import { expect, test } from "bun:test";
import type { ModelEntry } from "../../src/models/entry.ts";
import { type ModelChange, ModelFeed } from "../../src/models/model-feed.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { makeEntry } from "../support/fake-engines.ts";

function makeFixture() {
  const clock = new FakeClock();
  const told: ModelChange[] = [];
  const state = { ids: ["a"], looks: 0, listens: true, isWaiting: false };
  const registry = {
    list: (): ModelEntry[] => {
      state.looks += 1;
      return state.ids.map((id) => makeEntry(id));
    },
    get isWaiting() {
      return state.isWaiting;
    },
  };
  const publish = (change: ModelChange) => told.push(change);
  return { clock, told, state, feed: new ModelFeed({ registry, hasListeners: () => state.listens, publish, clock }) };
}

test("what is there at the beginning is no news; what comes and goes is", () => {
  const { clock, told, state, feed } = makeFixture();
  feed.begin();
  state.ids = ["b", "c"];
  feed.notice();
  expect(told).toEqual([]);
  clock.advance(500);
  expect(told).toEqual([
    { type: "gone", id: "a" },
    { type: "listed", id: "b" },
    { type: "listed", id: "c" },
  ]);
});

test("many notices are one look; a file that is being written is looked at again soon", () => {
  const { clock, told, state, feed } = makeFixture();
  feed.begin();
  for (let n = 0; n < 100; n++) feed.notice();
  state.isWaiting = true;
  clock.advance(500);
  expect(state.looks).toBe(2);
  state.ids = ["a", "b"];
  clock.advance(1_000);
  expect(told).toEqual([{ type: "listed", id: "b" }]);
});

test("without notices it looks from time to time", () => {
  const { clock, told, state, feed } = makeFixture();
  feed.begin();
  state.ids = [];
  clock.advance(5_000);
  expect(told).toEqual([{ type: "gone", id: "a" }]);
});

test("when nobody listens any more it stops, and begins anew with the next one", () => {
  const { clock, told, state, feed } = makeFixture();
  feed.notice();
  expect(clock.pendingTimers).toBe(0);
  feed.begin();
  state.listens = false;
  clock.advance(60_000);
  expect([state.looks, clock.pendingTimers]).toEqual([1, 0]);
  state.ids = ["z"];
  state.listens = true;
  feed.begin();
  feed.begin();
  clock.advance(5_000);
  expect([told, state.looks]).toEqual([[], 3]);
  feed.stop();
  expect(clock.pendingTimers).toBe(0);
});
