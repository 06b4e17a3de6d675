// What prompts share in models whose state is that of its end alone, as a client sees it: checkpoints make identical
// prompts be read once, and conversations go on, after a restart too.

import { describe, expect, test } from "bun:test";
import { EngineRun, outcome, type RunOptions, runAlone } from "../../support/engine-run.ts";
import { KvFolder, TEST_SLICE_TOKENS } from "../../support/kv-folder.ts";
import { ask, evaluated, runOne, SYSTEM, WAIT_TOKENS } from "../../support/shared-prompts.ts";

/** As reading-stops.ts has it. */
const STOP_TOKENS = 16;

describe.each(["recurrent", "hybrid"] as const)("%s memory", (memory) => {
  const keeping = (options: RunOptions = {}): EngineRun =>
    new EngineRun({ retainedMax: 4, contextLength: 1024, memory, ...options });

  test("prompts that begin alike, at the same time: are read once", () => {
    using run = keeping({ parallel: 8, batchSize: 16 });
    const requests = Array.from({ length: 8 }, (_, i) => ask(`${SYSTEM} ${i}`));
    for (const [id, request] of requests.entries()) run.generate(id, request);
    run.settle();
    expect(evaluated(run)).toBeLessThan(SYSTEM.length + 8 * (2 + WAIT_TOKENS));
    const reports = [...run.stories.values()].map(({ end }) => (end?.type === "done" ? end.cache : null));
    const least = SYSTEM.length - WAIT_TOKENS;
    const shared = reports.filter((cache) => cache !== null && cache.live + cache.retained >= least);
    expect(shared).toHaveLength(7);
    for (const [id, request] of requests.entries()) expect(outcome(run.story(id))).toEqual(outcome(runAlone(request)));
    run.checkEmpty();
  });

  test("one that comes while another reads makes it stop where they part", () => {
    using run = keeping({ batchSize: 48 });
    run.generate(1, ask(`${SYSTEM} and then something of its own, which is long enough`));
    run.step();
    // In one step it would read on to behind that place.
    run.generate(2, ask(`${SYSTEM} but then something else, which is about as long`));
    run.step();
    expect(run.engine.stats().running).toBe(1);
    expect(evaluated(run)).toBe(SYSTEM.length + 1);
    run.settle();
    const second = run.story(2).end;
    // It is a checkpoint; in a hybrid model the first one still runs and holds the cells.
    expect(second?.type === "done" && second.cache.live + second.cache.retained).toBe(SYSTEM.length + 1);
    run.checkEmpty();
  });

  test("a reader that goes away is not waited for", () => {
    using run = keeping({ batchSize: 8 });
    run.generate(1, ask(`${SYSTEM} one`));
    run.generate(2, ask(`${SYSTEM} two`));
    for (let i = 0; i < 7; i++) run.step();
    run.send("cancel", 1);
    run.settle();
    expect(outcome(run.story(2))).toEqual(outcome(runAlone(ask(`${SYSTEM} two`))));
    run.checkEmpty();
  });

  test("a prompt that goes on from another one starts at its end, although the answer is not what it said", () => {
    using run = keeping();
    runOne(run, 1, ask(SYSTEM));
    const report = runOne(run, 2, ask(`${SYSTEM} quite another answer, and on`));
    expect(report.live + report.retained).toBe(SYSTEM.length - 1);
  });

  test("the third of those that part at a place starts there", () => {
    using run = keeping();
    const texts = ["first of all of them", "the second of them all", "third, and last"].map(
      (end) => `${SYSTEM} ${end}`,
    );
    const reports = texts.map((text, id) => runOne(run, id, ask(text)).retained);
    expect(reports).toEqual([0, 0, SYSTEM.length + 1]);
  });

  test("a request that may not be kept leaves nothing, and one that may not reuse takes nothing", () => {
    using run = keeping();
    runOne(run, 1, ask(SYSTEM, { cache: { keep: false } }));
    expect(run.engine.stats().checkpoints).toMatchObject({ count: 0, bytes: 0 });
    runOne(run, 2, ask(SYSTEM));
    expect(run.engine.stats().checkpoints.count).toBe(1);
    expect(runOne(run, 3, ask(SYSTEM, { cache: { reuse: false } }))).toEqual({ live: 0, retained: 0, disk: 0 });
    run.checkEmpty();
  });

  test("where nothing is kept there are none", () => {
    using run = keeping({ retainedMax: 0 });
    runOne(run, 1, ask(SYSTEM));
    expect(run.engine.stats().checkpoints.count).toBe(0);
    run.checkEmpty();
  });

  test("a short prompt has none: it is read as fast", () => {
    using run = keeping();
    runOne(run, 1, ask("x".repeat(STOP_TOKENS)));
    expect(run.engine.stats().checkpoints.count).toBe(0);
  });

  test("checkpoints are listed, and freed with the engine", () => {
    const run = keeping();
    runOne(run, 1, ask(SYSTEM, { session: "s" }));
    expect(run.cacheEntries()).toMatchObject([
      { state: "retained", tokens: SYSTEM.length + 7 },
      { state: "retained", tokens: SYSTEM.length - 1, session: "s", durableTokens: 0 },
    ]);
    run[Symbol.dispose]();
    expect(run.backend.liveHandles().state).toBe(0);
  });

  test("a restart: a conversation goes on where it was, and `disk` says so before", () => {
    using folder = new KvFolder();
    {
      using run = keeping({ store: folder.opener() });
      runOne(run, 1, ask(SYSTEM));
      expect(run.cacheEntries()).toMatchObject([
        { state: "disk", durableTokens: SYSTEM.length + 7 },
        { state: "disk", durableTokens: SYSTEM.length - 1 },
      ]);
    }
    using run = keeping({ store: folder.opener(), taskPolls: () => 2 });
    const listed = run.cacheEntries().map(({ state, tokens }) => [state, tokens]);
    expect(listed.toSorted()).toEqual([
      ["disk", SYSTEM.length - 1],
      ["disk", SYSTEM.length + 7],
    ]);
    const other = ask(`${SYSTEM} quite another answer`);
    expect(runOne(run, 1, other)).toEqual({ live: 0, retained: 0, disk: SYSTEM.length - 1 });
    const whole = ask(`${SYSTEM}${runAlone(ask(SYSTEM)).text}, and on`);
    expect(runOne(run, 2, whole).disk).toBe(SYSTEM.length + 7);
    run.checkEmpty();
    expect(folder.warnings).toEqual([]);
  });

  test("a state that follows closely on one on disk is not written", () => {
    using folder = new KvFolder();
    using run = keeping({ store: folder.opener({ sliceTokens: SYSTEM.length }) });
    runOne(run, 1, ask(SYSTEM));
    expect(folder.files()).toHaveLength(memory === "hybrid" ? 2 : 1);
    expect(run.cacheEntries()).toMatchObject([
      { state: "disk", tokens: SYSTEM.length + 7, durableTokens: SYSTEM.length - 1 },
      { state: "disk", tokens: SYSTEM.length - 1, durableTokens: SYSTEM.length - 1 },
    ]);
  });

  test("states that don't fit on disk together do not push each other out", () => {
    using folder = new KvFolder();
    using run = keeping({ store: folder.opener({ bytesMax: memory === "hybrid" ? 1600 : 100 }) });
    let writes = 0;
    run.backend.faults.write = () => {
      writes++;
      return null;
    };
    runOne(run, 1, ask(SYSTEM));
    run.clock.advance(1000);
    runOne(run, 2, ask(SYSTEM.toUpperCase()));
    const before = writes;
    expect(before).toBeGreaterThan(0);
    for (let i = 0; i < 10; i++) {
      run.clock.advance(60_000);
      run.settle();
    }
    expect(writes - before).toBeLessThanOrEqual(1);
    const { bytes, bytesMax } = run.engine.stats().kvStore ?? { bytes: 1, bytesMax: 0 };
    expect(bytes).toBeLessThanOrEqual(bytesMax);
  });

  const damages: [string, (text: string) => string][] = [
    ["damaged", (text) => text.replaceAll("[", "{")],
    ["cut short", (text) => text.slice(0, text.length / 2)],
    ["another model's", (text) => text.replace("model", "other")],
    ["of another place", (text) => text.replace(/"length":\d+/, '"length":5')],
  ];

  test.each(damages)("a file that is %s: dropped with one warning, and the prompt is read anew", (_name, damage) => {
    using folder = new KvFolder();
    {
      using run = keeping({ store: folder.opener() });
      runOne(run, 1, ask(SYSTEM, { maxTokens: 1 }));
    }
    for (const path of folder.files().filter((file) => file.includes("+"))) folder.replace(path, damage);
    using run = keeping({ store: folder.opener() });
    expect(runOne(run, 1, ask(`${SYSTEM} and on`))).toMatchObject({ disk: 0 });
    expect(folder.warnings).toHaveLength(1);
    // It is written again, and is good then.
    using again = keeping({ store: folder.opener() });
    expect(runOne(again, 1, ask(`${SYSTEM} and on!`)).disk).toBeGreaterThanOrEqual(SYSTEM.length - 1);
    expect(folder.warnings).toHaveLength(1);
  });
});

test("recurrent: a checkpoint outlives all sequences", () => {
  using run = new EngineRun({ memory: "recurrent", retainedMax: 1, contextLength: 1024 });
  runOne(run, 1, ask(SYSTEM));
  for (let id = 2; id < 6; id++) runOne(run, id, ask(`${id}${SYSTEM.toUpperCase()}`));
  expect(run.cacheEntries().filter(({ tokens }) => tokens === SYSTEM.length + 7)).toEqual([]);
  expect(runOne(run, 6, ask(`${SYSTEM}, again`)).retained).toBe(SYSTEM.length - 1);
});

test("hybrid: when the last one goes that holds the cells, so does the checkpoint", () => {
  using run = new EngineRun({ memory: "hybrid", retainedMax: 1, contextLength: 1024 });
  runOne(run, 1, ask(SYSTEM));
  expect(run.engine.stats().checkpoints.count).toBe(1);
  runOne(run, 2, ask(`${SYSTEM.toUpperCase()} and more`));
  expect(run.cacheEntries().map(({ tokens }) => tokens)).not.toContain(SYSTEM.length - 1);
  expect(runOne(run, 3, ask(`${SYSTEM}, again`)).retained).toBe(0);
});

test("hybrid: a checkpoint stays when another sequence holds its cells, however often it is asked", () => {
  using run = new EngineRun({ memory: "hybrid", retainedMax: 4, contextLength: 1024 });
  for (let id = 0; id < 4; id++) {
    const { retained } = runOne(run, id, ask(SYSTEM));
    expect(retained).toBe(id === 0 ? 0 : SYSTEM.length - 1);
    expect(run.engine.stats()).toMatchObject({ checkpoints: { count: 1 }, retained: { sequences: 1 } });
  }
});

test("hybrid: a kept conversation loses its end, not all, when others need its cells", () => {
  using run = new EngineRun({ memory: "hybrid", retainedMax: 4, contextLength: 200, sequenceContextLength: 200 });
  const first = `${SYSTEM} and a question`;
  runOne(run, 1, ask(first));
  runOne(run, 2, ask(`${SYSTEM} and quite another question`));
  runOne(run, 3, ask("x".repeat(90)));
  // Where the first two parted.
  const parting = `${SYSTEM} and `.length;
  expect(run.cacheEntries().map(({ tokens }) => tokens)).toContain(parting);
  expect(runOne(run, 4, ask(`${SYSTEM} and a third one of them`)).retained).toBe(parting);
  run.checkEmpty();
});

test("hybrid: a slice that is gone takes what follows on it along", () => {
  using folder = new KvFolder();
  const options: RunOptions = { memory: "hybrid", retainedMax: 2, contextLength: 1024 };
  {
    using run = new EngineRun({ ...options, store: folder.opener() });
    runOne(run, 1, ask(SYSTEM));
  }
  const slices = folder.files().filter((path) => !path.includes("+"));
  expect(slices).toHaveLength(Math.floor((SYSTEM.length + 7) / TEST_SLICE_TOKENS));
  folder.replace(slices[2] ?? "", () => "");
  using run = new EngineRun({ ...options, store: folder.opener() });
  expect(runOne(run, 1, ask(`${SYSTEM}!`))).toMatchObject({ disk: 0 });
  expect(folder.warnings).toHaveLength(1);
});
