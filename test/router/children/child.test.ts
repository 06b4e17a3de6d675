// Real children: this program started again as `engine --job`. They answer once and end; one that is killed or
// can't start is told apart; and the server's own process stays what it was.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { OomKills } from "../../../src/hardware/oom-kills.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { createLogger, silentLogger } from "../../../src/lib/log.ts";
import type { EngineSettings } from "../../../src/protocol/messages.ts";
import { PROTOCOL_VERSION } from "../../../src/protocol/messages.ts";
import { type ExitReason, selfCommand, spawnChild } from "../../../src/router/children/child.ts";
import { runJob } from "../../../src/router/children/jobs.ts";
import { crashError, EngineProcess, StartFailure } from "../../../src/router/engines/engine-process.ts";
import { makeEngineSettings } from "../../support/engine-settings.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { HAS_NATIVE, type OpenLlama, openLlama } from "../../support/llama-library.ts";

const MAIN = join(import.meta.dir, "../../../src/main.ts");
const testMain = Bun.main;

/** Children run `Bun.main` again, which is a test file here. */
function setMain(path: string): void {
  (Bun as { main: string }).main = path;
}

describe.skipIf(!HAS_NATIVE)("children", () => {
  let llama: OpenLlama;
  let folder: string;

  beforeAll(async () => {
    llama = await openLlama();
    folder = mkdtempSync(join(tmpdir(), "mlo-child-"));
    setMain(MAIN);
  });
  afterAll(() => {
    setMain(testMain);
    rmSync(folder, { recursive: true, force: true });
  });

  const run = (question: Parameters<typeof runJob>[1]) =>
    runJob(llama.files.library, question, silentLogger, systemClock);

  const settings = (changes: Partial<EngineSettings> = {}) =>
    makeEngineSettings(llama.files.demoModel, llama.plugin, { parallel: 2, ...changes });

  const start = (
    changes: Partial<EngineSettings> = {},
    clock: typeof systemClock = systemClock,
    readKills?: () => OomKills,
  ) =>
    EngineProcess.start({
      backend: { wanted: [], used: ["cpu"], fallback: null, skipped: [] },
      ...(readKills === undefined ? {} : { readOomKills: readKills }),
      libraryPath: llama.files.library,
      settings: settings(changes),
      modelId: "demo",
      signal: new AbortController().signal,
      loadTimeoutMs: 60_000,
      log: silentLogger,
      clock,
    });

  test("run this program again", () => {
    expect(selfCommand()).toEqual([process.execPath, MAIN]);
  });

  test("score the CPU variants, and a file that is none has its reason", async () => {
    const broken = join(folder, "libggml-cpu-broken.so");
    writeFileSync(broken, "no library");
    const result = await run({ job: "scores", plugins: [...llama.files.cpuPlugins, broken] });
    if (result.kind === "failed" || result.answer.job !== "scores") throw new Error(JSON.stringify(result));
    const { scores } = result.answer;
    expect(scores.map(({ path }) => path)).toEqual([...llama.files.cpuPlugins, broken]);
    expect(Math.max(...scores.map(({ score }) => score))).toBeGreaterThan(0);
    expect(scores.at(-1)).toMatchObject({ score: 0, error: expect.stringContaining(basename(broken)) });
  });

  test("test a variant", async () => {
    const question = { job: "selftest", plugin: llama.plugin, modelPath: llama.files.demoModel } as const;
    expect(await run(question)).toEqual({ kind: "answer", answer: { job: "selftest", devices: ["CPU"] } });
  });

  test("fail in words when the plug-in or the model is not one", async () => {
    const noModel = await run({ job: "selftest", plugin: llama.plugin, modelPath: join(folder, "missing.gguf") });
    expect(noModel).toMatchObject({ kind: "failed", reason: expect.stringContaining("missing.gguf") });
    const plugin = join(folder, "libggml-cpu-none.so");
    expect(await run({ job: "selftest", plugin, modelPath: llama.files.demoModel })).toMatchObject({
      kind: "failed",
      reason: expect.stringContaining("can't load the plug-in"),
    });
  });

  test("a library that can't be opened ends the child, and its last words are kept", async () => {
    const path = join(folder, "libmlo.so");
    const result = await runJob(path, { job: "scores", plugins: [] }, silentLogger, systemClock);
    if (result.kind !== "failed") throw new Error(JSON.stringify(result));
    expect(result.reason).toStartWith(`the child ended with code 1: can't open ${path}: `);
    expect(result.reason).not.toContain("    at ");
  });

  test.skipIf(process.platform !== "linux")("the kernel ends a child sooner than this process", async () => {
    const exited = Promise.withResolvers<ExitReason>();
    const hooks = { onFrame: () => {}, onExit: exited.resolve };
    const child = await spawnChild(llama.files.library, ["--job", "scores"], silentLogger, hooks);
    const score = (pid: number | "self") => Number(readFileSync(`/proc/${pid}/oom_score_adj`, "utf8"));
    expect(score(child.pid)).toBe(Math.min(score("self") + 300, 1000));
    child.kill("SIGKILL");
    await exited.promise;
  });

  test("one that the kernel ends while it loads is out of memory only if the kernel says so", async () => {
    setMain(join(import.meta.dir, "../../support/killed-engine.ts"));
    const before = { group: 1, machine: 1, limitBytes: 1000, peakBytes: 900 };
    const failWith = async (after: OomKills): Promise<StartFailure> => {
      const counts = [before, after];
      const failure = await start({}, systemClock, () => counts.shift() ?? after).catch((thrown: unknown) => thrown);
      expect(failure).toBeInstanceOf(StartFailure);
      return failure as StartFailure;
    };
    try {
      const killed = await failWith(before);
      expect([killed.error.code, killed.died]).toEqual(["engine_crashed", true]);
      const short = await failWith({ ...before, group: 2 });
      expect([short.error.code, short.died]).toEqual(["out_of_memory", true]);
      expect(short.error.message).toBe(
        "The kernel ended the engine of demo while it loaded: the memory of its control group ran out (limit 1000 bytes, most ever used 900 bytes).",
      );
    } finally {
      setMain(MAIN);
    }
  });

  test("a child that is killed is told by its signal", async () => {
    const exited = Promise.withResolvers<ExitReason>();
    const hooks = { onFrame: () => {}, onExit: exited.resolve };
    const child = await spawnChild(llama.files.library, ["--job", "scores"], silentLogger, hooks);
    child.kill("SIGKILL");
    const reason = await exited.promise;
    expect(reason).toMatchObject({ code: null, signal: "SIGKILL" });
    // What is sent to somebody who is gone is dropped.
    child.send({ type: "shutdown" });
    expect(crashError("demo", reason)).toMatchObject({
      code: "engine_crashed",
      message: expect.stringContaining("The engine of demo was ended by SIGKILL."),
    });
  });

  test("an abort of ggml is told in its own words", async () => {
    const exited = Promise.withResolvers<ExitReason>();
    setMain(join(import.meta.dir, "../../support/aborting-engine.ts"));
    const hooks = { onFrame: () => {}, onExit: exited.resolve };
    await spawnChild(llama.files.library, [], silentLogger, hooks).finally(() => setMain(MAIN));
    const reason = await exited.promise;
    expect(reason.signal).toBe("SIGABRT");
    expect(reason.lastLines.at(-1)).toMatch(/GGML_ASSERT\(.*\) failed/);
    expect(crashError("demo", reason).message).not.toContain("Bun");
  });

  test("another protocol version is refused", async () => {
    const exited = Promise.withResolvers<ExitReason>();
    const failed = Promise.withResolvers<string>();
    const child = await spawnChild(llama.files.library, ["--job", "scores"], silentLogger, {
      onFrame: ({ message }) => message.type === "failed" && failed.resolve(message.error.message),
      onExit: exited.resolve,
    });
    child.send({ type: "ask", version: PROTOCOL_VERSION + 1, question: { job: "scores", plugins: [] } });
    expect(await failed.promise).toContain("another protocol version");
    expect((await exited.promise).signal).toBeNull();
  });

  test("an engine loads, answers, and ends when it is asked to", async () => {
    const engine = await start();
    expect(engine.info).toMatchObject({ architecture: "llama", contextLength: 256, parallel: 2, canGenerate: true });
    const { signal } = new AbortController();
    const prompt = { kind: "chat" as const, messages: [{ role: "user", content: "What is 7 + 8?" }] };
    const request = { prompt, sampling: { temperature: 0 }, stop: [], maxTokens: 20 };
    const { events, promptTokens } = await engine.client.generate(request, signal);
    let text = "";
    for await (const event of events) if (event.type === "delta") text += event.text ?? "";
    expect(text).toBe("15");
    expect(promptTokens).toBeGreaterThan(5);
    const { vectors } = await engine.client.embed(["a", "b c"], signal);
    expect(vectors.map((vector) => vector.length)).toEqual(Array(2).fill(engine.info.embeddingLength));
    expect(await engine.client.stats()).toMatchObject({
      running: 0,
      ledger: { used: 0 },
      handles: { job: 0, model: 1, prompt: 0, sampler: 0, parser: 0 },
    });
    await engine.stop();
    expect(engine.stopping).toBe(true);
    expect(await engine.exited).toMatchObject({ code: 0, signal: null });
  });

  test("an engine that is killed ends its requests with engine_crashed", async () => {
    const engine = await start();
    const { signal } = new AbortController();
    const prompt = { kind: "text" as const, text: "One, two," };
    const request = { prompt, sampling: { temperature: 0, ignoreEos: true }, stop: [] };
    const { events } = await engine.client.generate(request, signal);
    process.kill(engine.pid, "SIGKILL");
    let last: unknown;
    for await (const event of events) last = event;
    expect(await engine.exited).toMatchObject({ signal: "SIGKILL" });
    expect(last).toMatchObject({ type: expect.stringMatching(/error|done/) });
    expect(engine.client.openCount).toBe(0);
    expect(engine.client.stats()).rejects.toThrow("SIGKILL");
  });

  test("a damaged model is refused with llama.cpp's words, and that is no death", async () => {
    const modelPath = join(folder, "damaged.gguf");
    const bytes = new Uint8Array(await Bun.file(llama.files.demoModel).arrayBuffer());
    writeFileSync(modelPath, bytes.subarray(0, bytes.length - 100_000));
    const failure = await start({ modelPath }).catch((thrown: unknown) => thrown);
    expect(failure).toBeInstanceOf(StartFailure);
    const { error, died } = failure as StartFailure;
    expect(died).toBe(false);
    expect(error.code).toBe("model_damaged");
    expect(error.message).toContain("damaged.gguf");
    expect(error.message).toContain("not within the file bounds");
  });

  test("a draft model is loaded beside the model, counted, and refused when it is damaged", async () => {
    const modelPath = join(folder, "draft.gguf");
    copyFileSync(llama.files.demoModel, modelPath);
    const engine = await start({ draft: { modelPath, tokensMax: 4, probabilityMin: 0 } });
    const { info } = engine;
    expect(info.draft).toMatchObject({ sizeBytes: info.sizeBytes, contextLength: 256 });
    const prompt = { kind: "text" as const, text: "One, two, three, four, five, six, seven," };
    const request = { prompt, sampling: { temperature: 0, ignoreEos: true }, stop: [], maxTokens: 40 };
    const { events } = await engine.client.generate(request, new AbortController().signal);
    for await (const event of events) if (event.type === "error") throw new Error(event.error.message);
    expect(await engine.client.stats()).toMatchObject({ handles: { model: 2, context: 2, drafter: 1 } });
    await engine.stop();
    truncateSync(modelPath, 100_000);
    const failure = await start({ draft: { modelPath, tokensMax: 4 } }).catch((thrown: unknown) => thrown);
    expect(failure).toBeInstanceOf(StartFailure);
    expect((failure as StartFailure).error).toMatchObject({
      code: "model_damaged",
      message: expect.stringContaining("draft.gguf"),
    });
  });

  test("an engine that takes too long is killed", async () => {
    const clock = new FakeClock();
    const starting = start({}, clock).catch((thrown: unknown) => thrown);
    while (clock.pendingTimers === 0) await Bun.sleep(1);
    clock.advance(60_000);
    const failure = await starting;
    expect(failure).toMatchObject({ died: false, error: { code: "timeout", hint: "Raise --load-timeout." } });
  });

  test("what a child writes becomes log lines of the server", async () => {
    const lines: string[] = [];
    const log = createLogger({ level: "debug", format: "json", write: (line) => void lines.push(line) });
    await runJob(join(folder, "nowhere.so"), { job: "scores", plugins: [] }, log, systemClock);
    expect(lines.join("")).toContain("nowhere.so");
    expect(lines.every((line) => (JSON.parse(line) as { job: string }).job === "scores")).toBe(true);
  });
});
