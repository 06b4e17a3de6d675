// KV state that survives the engine: written while nobody computes, read back by the next engine over the same folder,
// and never trusted when it is not what it should be.

import { describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { CacheReport, GenerationRequest } from "../../../src/protocol/generation.ts";
import { EngineRun, outcome, type RunOptions, runAlone } from "../../support/engine-run.ts";
import { KvFolder, TEST_SLICE_TOKENS } from "../../support/kv-folder.ts";

/** A letter is a token. */
const TEXT = "the quick brown fox jumps over the lazy dog";
/** Of the prompt, and with its answer, whose last token is never computed. */
const SLICES = Math.floor(TEXT.length / TEST_SLICE_TOKENS);
const ANSWER_TOKENS = 6;
const WRITTEN = Math.floor((TEXT.length + ANSWER_TOKENS - 1) / TEST_SLICE_TOKENS);

const ask = (text: string, changes: Partial<GenerationRequest> = {}): GenerationRequest => ({
  prompt: { kind: "text", text },
  sampling: { temperature: 0, ignoreEos: true },
  stop: [],
  maxTokens: ANSWER_TOKENS,
  ...changes,
});

function makeRun(folder: KvFolder, options: RunOptions = {}): EngineRun {
  return new EngineRun({ retainedMax: 4, store: folder.opener(), ...options });
}

/** One engine's life: these requests, one after the other, and all that is kept is on disk. */
function live(folder: KvFolder, texts: readonly string[], options: RunOptions = {}): void {
  using run = makeRun(folder, options);
  for (const [id, text] of texts.entries()) {
    run.generate(id, ask(text));
    run.settle();
  }
  run.checkEmpty();
}

/** Asks, and says where the prompt came from; the answer must be as if alone. */
function reuse(run: EngineRun, id: number, request: GenerationRequest): CacheReport {
  run.generate(id, request);
  run.settle();
  const story = run.story(id);
  expect(outcome(story)).toEqual(outcome(runAlone(request)));
  if (story.end?.type !== "done") throw new Error(`ended with ${story.end?.type}`);
  return story.end.cache;
}

describe("writing", () => {
  test("waits until nobody computes", () => {
    using folder = new KvFolder();
    using run = makeRun(folder);
    run.generate(1, ask(TEXT));
    while (run.story(1).end === null) {
      expect(folder.files()).toEqual([]);
      run.step();
    }
    run.settle();
    expect(folder.files()).toHaveLength(WRITTEN);
    expect(run.engine.stats().kvStore).toMatchObject({ files: WRITTEN, warning: null });
    expect(run.cacheEntries()).toMatchObject([{ state: "disk", durableTokens: WRITTEN * TEST_SLICE_TOKENS }]);
    run.checkEmpty();
  });

  test("waits for a quiet moment, and says how long", () => {
    using folder = new KvFolder();
    using run = makeRun(folder, { store: folder.opener({ quietMs: 400 }) });
    run.generate(1, ask(TEXT));
    while (run.story(1).end === null) run.step();
    run.clock.advance(149);
    // A step takes a millisecond.
    run.step();
    expect(run.engine.restMs).toBe(250);
    expect(folder.files()).toEqual([]);
    run.clock.advance(250);
    expect(run.engine.restMs).toBe(0);
    run.settle();
    expect(folder.files()).toHaveLength(WRITTEN);
  });

  test("writes what a longer sequence adds, and nothing twice", () => {
    using folder = new KvFolder();
    using run = makeRun(folder);
    let writes = 0;
    run.backend.faults.write = () => {
      writes++;
      return null;
    };
    for (const [id, text] of [TEXT, `${TEXT} and then it sleeps`, TEXT].entries()) reuse(run, id, ask(text));
    expect(writes).toBe(folder.files().length);
  });

  test("a request that may not be kept leaves nothing", () => {
    using folder = new KvFolder();
    using run = makeRun(folder);
    reuse(run, 1, ask(TEXT, { cache: { keep: false } }));
    expect(folder.files()).toEqual([]);
    expect(run.cacheEntries()).toEqual([]);
  });

  test("a flush is answered when all is written, also while somebody computes, and without a store", () => {
    using folder = new KvFolder();
    using run = makeRun(folder);
    reuse(run, 1, ask(TEXT));
    rmSync(join(folder.path, "model"), { recursive: true });
    mkdirSync(join(folder.path, "model"));
    using again = makeRun(folder);
    again.generate(1, ask(TEXT));
    while (again.story(1).end === null) again.step();
    again.generate(2, ask("another one", { maxTokens: 60 }));
    again.flush();
    expect(folder.files()).toHaveLength(WRITTEN);
    expect(again.story(2).end).toBeNull();
    using plain = new EngineRun();
    plain.flush();
  });

  test("a flush sleeps while a file is written", () => {
    using folder = new KvFolder();
    using run = makeRun(folder);
    let writes = true;
    const copy = run.backend.copySlice.bind(run.backend);
    run.backend.copySlice = (...cells) => {
      const state = copy(...cells);
      const write = state.write.bind(state);
      state.write = (...file) => {
        const task = write(...file);
        return { ...task, poll: () => (writes ? { kind: "running" } : task.poll()) };
      };
      return state;
    };
    run.generate(1, ask(TEXT));
    while (run.story(1).end === null) run.step();
    run.engine.receive({ type: "flush", id: 7 });
    for (let i = 0; i < 3; i++) run.step();
    expect(run.engine.restMs).toBeGreaterThan(0);
    writes = false;
    expect(run.engine.restMs).toBe(0);
    run.settle();
    expect(run.messages).toContainEqual({ type: "flushed", id: 7 });
    expect(folder.files()).toHaveLength(WRITTEN);
  });

  test("a flush does not wait for what is written at leisure: it is written anew, at full speed", () => {
    using folder = new KvFolder();
    using run = makeRun(folder);
    const begun: boolean[] = [];
    const copy = run.backend.copySlice.bind(run.backend);
    run.backend.copySlice = (...cells) => {
      const state = copy(...cells);
      const write = state.write.bind(state);
      state.write = (path, text, awaited) => {
        begun.push(awaited);
        const task = write(path, text, awaited);
        return { ...task, poll: () => (awaited ? task.poll() : { kind: "running" }) };
      };
      return state;
    };
    run.generate(1, ask(TEXT));
    while (run.story(1).end === null) run.step();
    run.step();
    expect(begun).toEqual([false]);
    run.flush();
    expect(begun).toEqual([false, ...Array(WRITTEN).fill(true)]);
    expect(folder.files()).toHaveLength(WRITTEN);
  });
});

/** The most states that were read, or being read, at once. */
function watchReads({ backend }: ReturnType<typeof makeRun>): { most: number } {
  const seen = { most: 0 };
  let now = 0;
  const read = backend.readState.bind(backend);
  backend.readState = (path) => {
    const task = read(path);
    seen.most = Math.max(seen.most, ++now);
    let isHeld = true;
    const leave = (): void => {
      if (isHeld) now -= 1;
      isHeld = false;
    };
    return {
      poll: () => task.poll(),
      take() {
        leave();
        return task.take();
      },
      [Symbol.dispose]() {
        leave();
        task[Symbol.dispose]();
      },
    };
  };
  return seen;
}

describe("a restart", () => {
  test("reads only what is new", () => {
    using folder = new KvFolder();
    live(folder, [TEXT]);
    using run = makeRun(folder, { taskPolls: () => 2 });
    const longer = ask(`${TEXT}, again`);
    const disk = SLICES * TEST_SLICE_TOKENS;
    expect(reuse(run, 1, longer)).toEqual({ live: 0, retained: 0, disk });
    expect(run.engine.stats().evaluatedTokens).toBe(`${TEXT}, again`.length - disk);
    run.checkEmpty();
    expect(folder.warnings).toEqual([]);
  });

  test("serves several at once, whole prompts too, and lists what only the disk has", () => {
    using folder = new KvFolder();
    live(folder, [TEXT, "an entirely different text, as long"]);
    using run = makeRun(folder);
    expect(run.cacheEntries()).toMatchObject([{ state: "disk" }, { state: "disk" }]);
    const texts = [TEXT, "an entirely different text, as it was", `${TEXT} too`];
    for (const [id, text] of texts.entries()) run.generate(id, ask(text));
    run.settle();
    for (const [id, text] of texts.entries()) expect(outcome(run.story(id))).toEqual(outcome(runAlone(ask(text))));
    const { evaluatedTokens, reusedTokens } = run.engine.stats();
    expect(reusedTokens).toBeGreaterThan(2 * SLICES * TEST_SLICE_TOKENS);
    expect(evaluatedTokens).toBeLessThan(40);
    run.checkEmpty();
  });

  test("has one state at a time in memory, however many are read for", () => {
    using folder = new KvFolder();
    live(folder, [TEXT, "an entirely different text, as long"]);
    using run = makeRun(folder, { taskPolls: () => 2 });
    const reads = watchReads(run);
    const texts = [TEXT, "an entirely different text, as it was", `${TEXT} too`];
    for (const [id, text] of texts.entries()) run.generate(id, ask(text));
    run.settle();
    expect(reads.most).toBe(1);
    expect(run.engine.stats().reusedTokens).toBeGreaterThan(2 * SLICES * TEST_SLICE_TOKENS);
    run.checkEmpty();
  });

  test("does not wait for a read that nobody needs any more", () => {
    using folder = new KvFolder();
    live(folder, [TEXT]);
    using run = makeRun(folder, { taskPolls: () => 3 });
    run.generate(1, ask(TEXT));
    while (run.engine.stats().running === 0) run.step();
    run.step();
    run.send("cancel", 1);
    // Freed while it runs, it would hold up the engine's thread until the disk has answered.
    expect(run.engine.stats().handles.job).toBe(1);
    run.settle();
    run.checkEmpty();
  });

  test("goes on from memory where that has more", () => {
    using folder = new KvFolder();
    live(folder, [TEXT]);
    using run = makeRun(folder);
    reuse(run, 1, ask(TEXT));
    expect(reuse(run, 2, ask(`${TEXT}!`))).toMatchObject({ retained: TEXT.length, disk: 0 });
  });

  test("takes whole slices from memory and the rest from disk where that has more", () => {
    using folder = new KvFolder();
    live(folder, [TEXT]);
    using run = makeRun(folder);
    reuse(run, 1, ask(`${TEXT.slice(0, 20)}, but not so`, { cache: { reuse: false } }));
    expect(reuse(run, 2, ask(TEXT))).toEqual({
      live: 0,
      retained: 16,
      disk: SLICES * TEST_SLICE_TOKENS - 16,
      diverged: expect.anything(),
    });
  });

  test("does not reuse what it is told not to", () => {
    using folder = new KvFolder();
    live(folder, [TEXT]);
    using run = makeRun(folder);
    expect(reuse(run, 1, ask(TEXT, { cache: { reuse: false } }))).toEqual({ live: 0, retained: 0, disk: 0 });
  });

  test.each(["cancel", "pause"] as const)("with a %s while its prompt is read from disk", (type) => {
    using folder = new KvFolder();
    live(folder, [TEXT]);
    using run = makeRun(folder, { taskPolls: () => 3 });
    run.generate(1, ask(`${TEXT}!`));
    while (run.engine.stats().ledger.used < 2 * TEST_SLICE_TOKENS) run.step();
    run.send(type, 1);
    run.settle();
    run.send("resume", 1);
    run.settle();
    if (type === "cancel") expect(run.story(1).end).toEqual({ type: "cancelled" });
    else expect(outcome(run.story(1))).toEqual(outcome(runAlone(ask(`${TEXT}!`))));
    run.checkEmpty();
  });

  test("when it has to leave while it is read from disk, and when the cells run out", () => {
    using folder = new KvFolder();
    live(folder, [TEXT]);
    for (const contextLength of [60, 66, 72, 80, 100]) {
      using run = makeRun(folder, { contextLength, taskPolls: () => 1, retainedMax: 1 });
      const requests = [ask("some other text", { maxTokens: 40 }), ask(`${TEXT}.`), ask(`${TEXT.slice(0, 30)}!`)];
      for (const [id, request] of requests.entries()) run.generate(id, request);
      run.settle();
      const options = { sequenceContextLength: contextLength };
      for (const [id, request] of requests.entries()) {
        expect(outcome(run.story(id))).toEqual(outcome(runAlone(request, options)));
      }
      run.checkEmpty();
    }
  });

  test("with a window: what it lost while it ran is read anew", () => {
    using folder = new KvFolder();
    // Written only when the answer has pushed the prompt out of the window.
    {
      using run = makeRun(folder, { memory: "sliding" });
      reuse(run, 1, ask(TEXT, { maxTokens: 30 }));
    }
    expect(folder.files().length).toBeGreaterThan(SLICES);
    using run = makeRun(folder, { memory: "sliding" });
    expect(reuse(run, 1, ask(`${TEXT}!`))).toMatchObject({ disk: 0 });
    const whole = runAlone(ask(TEXT, { maxTokens: 30 })).text;
    expect(reuse(run, 2, ask(`${TEXT}${whole}`)).disk).toBeGreaterThanOrEqual(0);
  });
});

describe("files that are not what they should be", () => {
  const damages: [string, (text: string, other: string) => string][] = [
    ["damaged", (text) => text.replaceAll("[", "{")],
    ["cut short", (text) => text.slice(0, text.length / 2)],
    ["empty", () => ""],
    ["another prompt's", (_text, other) => other],
    ["another model's", (text) => text.replace("model", "other")],
    ["too short a slice", (text) => text.replace(/\[\d+,\d+,\w+\],/, "")],
  ];

  test.each(damages)("%s: dropped with one warning, and the answer is as ever", (_name, damage) => {
    using folder = new KvFolder();
    live(folder, [TEXT]);
    const paths = folder.files();
    folder.replace(paths[2] ?? "", (text) => damage(text, JSON.stringify({ content: [], text: "else" })));
    using run = makeRun(folder);
    expect(reuse(run, 1, ask(`${TEXT}!`))).toMatchObject({ disk: 2 * TEST_SLICE_TOKENS });
    expect(folder.warnings).toHaveLength(1);
    // It is written again, and is good then.
    using again = makeRun(folder);
    expect(reuse(again, 1, ask(`${TEXT}!`))).toMatchObject({ disk: SLICES * TEST_SLICE_TOKENS });
    expect(folder.warnings).toHaveLength(1);
  });

  test("gone, since another engine needed the room: the prompt is read, and nothing is to be told", () => {
    using folder = new KvFolder();
    live(folder, [TEXT]);
    using run = makeRun(folder);
    rmSync(folder.files()[0] ?? "");
    expect(reuse(run, 1, ask(TEXT))).toMatchObject({ disk: 0 });
    expect(folder.warnings).toEqual([]);
  });

  test("of another model key are never looked at", () => {
    using folder = new KvFolder();
    live(folder, [TEXT], { store: folder.opener({ modelKey: "other" }) });
    using run = makeRun(folder);
    expect(reuse(run, 1, ask(TEXT))).toMatchObject({ disk: 0 });
    expect(folder.warnings).toEqual([]);
  });
});

describe("a disk that fails", () => {
  test("costs one warning and a pause, and is tried again", () => {
    using folder = new KvFolder();
    using run = makeRun(folder);
    let tries = 0;
    run.backend.faults.write = () => {
      tries++;
      return "no space left on device";
    };
    for (let id = 0; id < 5; id++) reuse(run, id, ask(`${id} ${TEXT}`));
    expect([tries, folder.warnings.length]).toEqual([1, 1]);
    expect(run.engine.stats().kvStore?.warning).toContain("no space left");
    run.clock.advance(60_000);
    run.settle();
    expect([tries, folder.warnings.length]).toEqual([2, 1]);
    run.backend.faults = {};
    run.clock.advance(60_000);
    run.settle();
    expect(folder.files().length).toBeGreaterThan(SLICES);
    expect(run.engine.stats().kvStore?.warning).toBeNull();
  });

  test("a folder that can't be made is its opener's to tell", () => {
    using folder = new KvFolder();
    writeFileSync(join(folder.path, "model"), "a file");
    expect(() => makeRun(folder)).toThrow();
  });
});

describe("a budget", () => {
  /** Bytes of all files of a prompt. */
  function measure(text: string): number {
    using folder = new KvFolder();
    using run = makeRun(folder);
    reuse(run, 1, ask(text));
    return run.engine.stats().kvStore?.bytes ?? 0;
  }

  /** A run whose folder may take so many times the bytes of one prompt, and how many files it has begun to write. */
  function makeTight(folder: KvFolder, prompts: number): { run: EngineRun; writes: () => number } {
    const run = makeRun(folder, { store: folder.opener({ bytesMax: Math.floor(prompts * measure(TEXT)) }) });
    let writes = 0;
    run.backend.faults.write = () => {
      writes++;
      return null;
    };
    return { run, writes: () => writes };
  }

  function passMinutes(run: EngineRun, minutes: number): void {
    for (let i = 0; i < minutes; i++) {
      run.clock.advance(60_000);
      run.settle();
    }
  }

  test("never makes room of what the state goes on from, and writes nothing in vain", () => {
    using folder = new KvFolder();
    const { run: tight, writes } = makeTight(folder, 1.3);
    using run = tight;
    reuse(run, 1, ask(TEXT));
    run.clock.advance(1000);
    reuse(run, 2, ask(`${TEXT} ${TEXT} ${TEXT}`, { maxTokens: 1 }));
    passMinutes(run, 5);
    // The end of the first one, which the longer one does not share, made room.
    expect(writes()).toBe(folder.files().length + 1);
    const { files, bytes, bytesMax } = run.engine.stats().kvStore ?? { files: 0, bytes: 0, bytesMax: 0 };
    expect(files).toBe(WRITTEN + 1);
    expect(bytes).toBeLessThanOrEqual(bytesMax);
    using again = makeRun(folder);
    expect(reuse(again, 1, ask(`${TEXT} ${TEXT}`))).toMatchObject({ disk: (WRITTEN + 1) * TEST_SLICE_TOKENS });
  });

  test("two states that don't fit together do not push each other out", () => {
    using folder = new KvFolder();
    const { run: tight, writes } = makeTight(folder, 1.5);
    using run = tight;
    reuse(run, 1, ask(TEXT));
    run.clock.advance(1000);
    reuse(run, 2, ask(TEXT.toUpperCase()));
    const before = writes();
    passMinutes(run, 10);
    expect(writes() - before).toBeLessThanOrEqual(1);
    expect(folder.warnings).toEqual([]);
  });
});
