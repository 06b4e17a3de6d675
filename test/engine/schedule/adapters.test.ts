// Sets of LoRA adapters in one engine: each request gets what it gets alone, and what was computed under one set is of
// use under that one only, in memory and on disk.

import { describe, expect, test } from "bun:test";
import { AdapterSets, NO_ADAPTERS } from "../../../src/engine/schedule/adapter-sets.ts";
import type { CacheReport, GenerationRequest } from "../../../src/protocol/generation.ts";
import type { LoraScale } from "../../../src/protocol/lora.ts";
import { EngineRun, outcome, type RunOptions, runAlone } from "../../support/engine-run.ts";
import { KvFolder } from "../../support/kv-folder.ts";
import { runOne as runOneOf, WAIT_TOKENS } from "../../support/shared-prompts.ts";

const ADAPTERS = ["hash of one file", "hash of another"];
const TEXT = "a prompt of some length, which all of them have in common";
const NOTHING: CacheReport = { live: 0, retained: 0, disk: 0 };

const SETS: LoraScale[][] = [[], [{ id: 0, scale: 1 }], [{ id: 0, scale: 0.5 }], [{ id: 1, scale: 1 }]];

const ask = (lora: LoraScale[], changes: Partial<GenerationRequest> = {}): GenerationRequest => ({
  prompt: { kind: "text", text: TEXT },
  sampling: { temperature: 0, ignoreEos: true },
  stop: [],
  maxTokens: 12,
  lora,
  ...changes,
});

const adapted = (options: RunOptions = {}): EngineRun =>
  new EngineRun({ adapters: ADAPTERS, contextLength: 1024, retainedMax: 8, parallel: 8, batchSize: 16, ...options });

const alone = (request: GenerationRequest): object => outcome(runAlone(request, { adapters: ADAPTERS }));

const runOne = (run: EngineRun, id: number, request: GenerationRequest): CacheReport =>
  runOneOf(run, id, request, { adapters: ADAPTERS });

describe("sets in one engine", () => {
  test("at the same time: each gives what it gives alone, and all differ", () => {
    using run = adapted();
    for (const [id, lora] of [...SETS, ...SETS].entries()) run.generate(id, ask(lora));
    run.settle();
    for (const [id, lora] of [...SETS, ...SETS].entries()) expect(outcome(run.story(id))).toEqual(alone(ask(lora)));
    expect(new Set([...run.stories.values()].map(({ text }) => text)).size).toBe(SETS.length);
    // Of each set one reads the prompt, and the other one waits for most of it.
    expect(run.engine.stats().evaluatedTokens).toBeLessThan(SETS.length * (TEXT.length + WAIT_TOKENS));
    run.checkEmpty();
  });

  test("one after the other: a prefix is found in its own set only", () => {
    using run = adapted();
    for (const [id, lora] of SETS.entries()) expect(runOne(run, id, ask(lora))).toEqual(NOTHING);
    for (const [id, lora] of SETS.entries()) {
      expect(runOne(run, 10 + id, ask(lora)).retained).toBeGreaterThanOrEqual(TEXT.length - 1);
    }
  });

  test("a stream goes on while another set reads a long prompt", () => {
    using run = adapted({ contextLength: 2048 });
    // A step takes longer than a turn.
    run.backend.faults.decode = () => {
      run.clock.advance(30);
      return null;
    };
    run.generate(1, ask([{ id: 0, scale: 1 }], { maxTokens: 100 }));
    while (run.story(1).text.length < 3) run.step();
    run.generate(2, ask([], { prompt: { kind: "text", text: "x".repeat(600) }, maxTokens: 1 }));
    let longest = 0;
    let since = 0;
    while (run.story(2).end === null) {
      const { decodedTokens } = run.engine.stats();
      run.step();
      since = run.engine.stats().decodedTokens > decodedTokens ? 0 : since + 1;
      longest = Math.max(longest, since);
    }
    expect(run.story(1).end).toBeNull();
    expect(longest).toBe(1);
  });

  test("all scales 0 are no adapters, and a named one alone leaves the others out", () => {
    using run = adapted();
    runOne(run, 1, ask([]));
    const none = [
      { id: 1, scale: 0 },
      { id: 0, scale: 0 },
    ];
    expect(runOne(run, 2, ask(none)).retained).toBeGreaterThan(0);
    expect(
      alone(
        ask([
          { id: 1, scale: 1 },
          { id: 0, scale: 0 },
        ]),
      ),
    ).toEqual(alone(ask([{ id: 1, scale: 1 }])));
  });

  test.each<[string, LoraScale[], string]>([
    ["an adapter that is not there", [{ id: 2, scale: 1 }], "lora[0].id"],
    ["one with half a number", [{ id: 0.5, scale: 1 }], "lora[0].id"],
    [
      "one that is named twice",
      [
        { id: 1, scale: 1 },
        { id: 1, scale: 0 },
      ],
      "lora[1].id",
    ],
    ["a scale out of range", [{ id: 1, scale: 101 }], "lora[0].scale"],
    ["a scale that is no number", [{ id: 1, scale: Number.NaN }], "lora[0].scale"],
  ])("%s is refused by name", (_name, lora, param) => {
    using run = adapted();
    run.generate(1, ask(lora));
    run.settle();
    expect(run.story(1).end).toMatchObject({ type: "error", error: { code: "invalid_request", param } });
    run.checkEmpty();
  });
});

describe("state on disk", () => {
  const lora = [{ id: 0, scale: 1 }];

  test("is read by the next engine for its own set, and by no other one", () => {
    using folder = new KvFolder();
    {
      using run = adapted({ store: folder.opener() });
      runOne(run, 1, ask(lora));
      run.flush();
      expect(folder.files().length).toBeGreaterThan(4);
      expect(run.cacheEntries()).toMatchObject([{ state: "disk" }]);
    }
    using run = adapted({ store: folder.opener() });
    expect(runOne(run, 1, ask([])).disk).toBe(0);
    expect(runOne(run, 2, ask([{ id: 0, scale: 0.5 }])).disk).toBe(0);
    expect(runOne(run, 3, ask(lora)).disk).toBeGreaterThan(TEXT.length / 2);
    expect(folder.warnings).toEqual([]);
  });

  test("is listed for every set, with its adapters as far as they are known", () => {
    using folder = new KvFolder();
    const loras = (run: EngineRun): unknown[] => run.cacheEntries().map((entry) => entry.lora);
    {
      using run = adapted({ store: folder.opener() });
      for (const [id, set] of SETS.entries()) runOne(run, id, ask(set));
      run.flush();
      expect(loras(run).toSorted()).toEqual(SETS.toSorted());
    }
    using run = adapted({ store: folder.opener() });
    expect(loras(run).toSorted()).toEqual([[], null, null, null]);
    runOne(run, 1, ask(lora));
    expect(loras(run).toSorted()).toEqual([[], lora, null, null]);
  });

  test("is another one's when the file behind a number is another one", () => {
    const roots = [ADAPTERS, ["another", ADAPTERS[1] ?? ""]].map(
      (hashes) => new AdapterSets(hashes).resolve(lora).root,
    );
    expect(roots[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(roots[0]).not.toBe(roots[1] ?? "");
    expect(new AdapterSets(ADAPTERS).resolve([]).root).toBe(NO_ADAPTERS.root);
  });
});
