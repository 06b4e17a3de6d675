// Prompts that wait are hashed once, and looked up again only when what is on disk has changed.

import { expect, test } from "bun:test";
import type { KvStore } from "../../../src/engine/disk/kv-store.ts";
import type { GenerationRequest } from "../../../src/protocol/generation.ts";
import { EngineRun, outcome, type RunOptions, runAlone } from "../../support/engine-run.ts";
import { KvFolder } from "../../support/kv-folder.ts";

const ask = (text: string, changes: Partial<GenerationRequest> = {}): GenerationRequest => ({
  prompt: { kind: "text", text },
  sampling: { temperature: 0, ignoreEos: true },
  stop: [],
  maxTokens: 4,
  ...changes,
});

/** A run whose store the test can look into. */
function watch(folder: KvFolder, options: RunOptions): { run: EngineRun; lookup: () => number[] } {
  const stores: KvStore[] = [];
  const open = folder.opener();
  const run = new EngineRun({
    ...options,
    store: (backend, clock) => {
      const store = open(backend, clock);
      stores.push(store);
      return store;
    },
  });
  return { run, lookup: () => stores.flatMap(({ lookup }) => [lookup.hashed, lookup.lookedUp]) };
}

test("a prompt that waits many steps for a place is hashed once", () => {
  using folder = new KvFolder();
  const { run, lookup } = watch(folder, { parallel: 1, retainedMax: 4 });
  using _ = run;
  run.generate(1, ask("the first of them goes on and on", { maxTokens: 100 }));
  const next = ask("the quick brown fox jumps over it");
  run.generate(2, next);
  while (run.story(1).end === null) run.step();
  expect(run.engine.stats().steps).toBeGreaterThan(99);
  expect(lookup()).toEqual([2, 2]);
  run.settle();
  expect(outcome(run.story(2))).toEqual(outcome(runAlone(next)));
  expect(lookup()[0]).toBe(2);
});

test("prompts that wait for somebody to read their beginning are hashed once each", () => {
  using folder = new KvFolder();
  const { run, lookup } = watch(folder, { parallel: 8, batchSize: 4, contextLength: 2048 });
  using _ = run;
  const long = ask("a text that takes many steps to read ".repeat(5));
  for (let id = 0; id < 6; id++) run.generate(id, long);
  while (run.story(0).end === null) run.step();
  expect(run.engine.stats().steps).toBeGreaterThan(40);
  expect(lookup()).toEqual([6, 6]);
});

test("what is written while it waits is found", () => {
  using folder = new KvFolder();
  const text = "the quick brown fox jumps over the lazy dog";
  using run = new EngineRun({ parallel: 1, retainedMax: 1, store: folder.opener() });
  run.generate(1, ask(text));
  while (run.story(1).end === null) run.step();
  // The first one's state is written while the last one waits, and then leaves the memory for the longer one's.
  run.generate(2, ask("another one that lasts for long", { maxTokens: 60 }));
  run.generate(3, ask(`${text}!`));
  run.step();
  expect(run.engine.stats()).toMatchObject({ waiting: 1, kvStore: { files: 0 } });
  run.flush();
  expect(run.engine.stats().kvStore?.files).toBeGreaterThan(0);
  run.settle();
  expect(run.story(3).end).toMatchObject({ cache: { retained: 0, disk: 40 } });
});
