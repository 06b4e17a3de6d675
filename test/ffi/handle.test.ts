// Native objects: owned once, freed once, and loud when used afterwards; errors carry llama.cpp's own words.

import type { Pointer } from "bun:ffi";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NativeContext } from "../../src/ffi/context.ts";
import { NativeDrafter } from "../../src/ffi/drafter.ts";
import { Handle } from "../../src/ffi/handle.ts";
import { NativeModel } from "../../src/ffi/model.ts";
import { NativeError } from "../../src/ffi/native-error.ts";
import { NativeParser } from "../../src/ffi/parser.ts";
import { NativePrompt } from "../../src/ffi/prompt.ts";
import { NativeSampler } from "../../src/ffi/sampler.ts";
import { finish } from "../support/finish.ts";
import { HAS_NATIVE, loadDemoModel, type OpenLlama, openLlama } from "../support/llama-library.ts";

class Counted extends Handle {
  constructor(free: () => void) {
    super("thing", 1 as Pointer, free);
  }
}

describe("Handle", () => {
  test("is freed once, however often it is disposed of", () => {
    let frees = 0;
    const handle = new Counted(() => {
      frees++;
    });
    expect(handle.pointer).toBe(1 as Pointer);
    handle[Symbol.dispose]();
    handle[Symbol.dispose]();
    expect([frees, handle.disposed]).toEqual([1, true]);
    expect(() => handle.pointer).toThrow("native thing used after dispose");
  });
});

const SETTINGS = {
  contextLength: 256,
  batchSize: 32,
  microBatchSize: 32,
  outputs: 1,
  sequences: 1,
  threads: 1,
  embeddings: false,
  pooling: -1,
};
const CHAT = { kind: "chat", messages: [{ role: "user", content: "hi" }] };

describe.skipIf(!HAS_NATIVE)("native objects", () => {
  let llama: OpenLlama;
  let model: NativeModel;
  let folder: string;
  let before: Record<string, number>;

  beforeAll(async () => {
    llama = await openLlama();
    before = llama.library.liveHandles();
    model = await loadDemoModel();
    folder = mkdtempSync(join(tmpdir(), "mlo-handle-"));
  });
  afterAll(() => {
    model[Symbol.dispose]();
    expect(llama.library.liveHandles()).toEqual(before);
    rmSync(folder, { recursive: true, force: true });
  });

  const live = () => {
    const now = llama.library.liveHandles();
    return Object.fromEntries(Object.entries(now).map(([kind, count]) => [kind, count - (before[kind] ?? 0)]));
  };
  const onlyModel = { job: 0, model: 1, context: 0, prompt: 0, sampler: 0, parser: 0, state: 0, drafter: 0, head: 0 };

  test("are counted while they live, and gone after", () => {
    {
      using prompt = finish(NativePrompt.read(model, CHAT));
      using context = NativeContext.make(model, SETTINGS);
      using _drafter = NativeDrafter.make(model, context, 0.5);
      using _sampler = NativeSampler.make(model, { temperature: 1 }, prompt);
      using _parser = NativeParser.make(llama.library, prompt);
      expect(live()).toEqual({ ...onlyModel, context: 1, prompt: 1, sampler: 1, parser: 1, drafter: 1 });
    }
    expect(live()).toEqual(onlyModel);
  });

  test("throw when they are used after dispose", () => {
    const prompt = finish(NativePrompt.read(model, CHAT));
    const context = NativeContext.make(model, SETTINGS);
    const parser = NativeParser.make(llama.library, prompt);
    for (const handle of [parser, context, prompt]) handle[Symbol.dispose]();
    expect(() => prompt.tokens()).toThrow("native prompt used after dispose");
    expect(() => context.cells()).toThrow("native context used after dispose");
    expect(() => parser.push("a", false)).toThrow("native parser used after dispose");
    expect(() => NativeParser.make(llama.library, prompt)).toThrow("native prompt used after dispose");
    for (const handle of [parser, context, prompt]) handle[Symbol.dispose]();
    expect(live()).toEqual(onlyModel);
  });

  test("a job that nobody takes frees its result, also while it runs", () => {
    for (let i = 0; i < 5; i++) NativePrompt.read(model, CHAT)[Symbol.dispose]();
    const loading = NativeModel.load(llama.library, llama.files.demoModel, { gpuLayers: 0 });
    loading.cancel();
    loading[Symbol.dispose]();
    expect(live()).toEqual(onlyModel);
  });

  test("a job's result is taken once", () => {
    using job = NativePrompt.read(model, CHAT);
    while (job.poll().kind === "running") Bun.sleepSync(1);
    using _prompt = job.take();
    expect(() => job.take()).toThrow("the job has no result, or somebody took it");
  });

  test("a missing file and a damaged one fail with llama.cpp's words", async () => {
    const bytes = new Uint8Array(await Bun.file(llama.files.demoModel).arrayBuffer());
    const damaged = join(folder, "damaged.gguf");
    writeFileSync(damaged, bytes.subarray(0, bytes.length >> 1));
    const noModel = join(folder, "text.gguf");
    writeFileSync(noModel, "hello");
    const load = (path: string) => () => finish(NativeModel.load(llama.library, path, { gpuLayers: 0 }));
    expect(load(damaged)).toThrow(/data is not within the file bounds, model is corrupted/);
    expect(load(noModel)).toThrow(/invalid magic|failed to read magic/);
    expect(load(join(folder, "missing.gguf"))).toThrow(/No such file or directory/);
    expect(live()).toEqual(onlyModel);
  });

  test("what a prompt, a sampler or a context refuses is named", () => {
    expect(() => finish(NativePrompt.read(model, { kind: "tokens", tokens: [1, 1_000_000] }))).toThrow(
      "token 1000000 is not in the vocabulary",
    );
    expect(() => finish(NativePrompt.read(model, { kind: "chat", messages: "none" }))).toThrow(NativeError);
    expect(() => NativeSampler.make(model, { logitBias: [[-5, 1]] }, null)).toThrow("logit_bias: token -5");
    expect(() => NativeSampler.make(model, { grammar: "root ::= (" }, null)).toThrow(NativeError);
    expect(() => NativeContext.make(model, { ...SETTINGS, contextLength: "many" } as never)).toThrow(NativeError);
    expect(live()).toEqual(onlyModel);
  });

  test("an empty decode, and sampling without a decode, are errors and not aborts", () => {
    using context = NativeContext.make(model, SETTINGS);
    using sampler = NativeSampler.make(model, { temperature: 0 }, null);
    const columns = {
      length: 0,
      tokens: new Int32Array(1),
      positions: new Int32Array(1),
      sequences: new Int32Array(1),
      outputs: new Int8Array(1),
    };
    expect(() => context.decode(columns)).toThrow(/llama_decode failed with -1[\s\S]*n_tokens == 0/);
    const { tokens, error } = context.sample([0], [sampler]);
    expect([...tokens]).toEqual([-1]);
    expect(error?.message).toContain("row 0 has no output");
    expect(() => context.decode({ ...columns, length: 1, tokens: Int32Array.of(-7) })).toThrow(/invalid token/);
  });

  test("a row that can't be sampled leaves the others as they are", () => {
    using context = NativeContext.make(model, SETTINGS);
    using sampler = NativeSampler.make(model, { temperature: 0 }, null);
    const columns = {
      length: 2,
      tokens: Int32Array.of(5, 6),
      positions: Int32Array.of(0, 1),
      sequences: new Int32Array(2),
      outputs: Int8Array.of(0, 1),
    };
    expect(context.decode(columns)).toBe("done");
    const alone = context.sample([1], [sampler]);
    expect(alone).toEqual({ tokens: expect.any(Int32Array), error: null });
    const { tokens, error } = context.sample([0, 1, 9], [sampler, sampler, sampler]);
    expect([...tokens]).toEqual([-1, alone.tokens[0] ?? -2, -1]);
    expect(error?.message).toContain("row 0 has no output");
  });

  test("a token that is none has no text", () => {
    for (const token of [-1, 1_000_000]) {
      expect(() => model.tokenBytes(token, false)).toThrow(NativeError);
      expect(model.isEnd(token)).toBe(false);
    }
  });

  test("the log is read once", () => {
    llama.library.readLog();
    expect(() => finish(NativeModel.load(llama.library, join(folder, "gone.gguf"), { gpuLayers: 0 }))).toThrow();
    finish(NativeModel.load(llama.library, llama.files.demoModel, { gpuLayers: 0 }))[Symbol.dispose]();
    const lines = llama.library.readLog();
    expect(lines.some(({ level }) => level === "info")).toBe(true);
    // What became the error's is not the log's any more: it belongs to whoever asked for the file.
    expect(lines.filter(({ text }) => text.includes("gone.gguf"))).toEqual([]);
    expect(llama.library.readLog()).toEqual([]);
  });

  test("facts, tokens and texts", () => {
    expect(model.facts()).toMatchObject({
      architecture: "llama",
      causal: true,
      hasDecoder: true,
      hasChatTemplate: true,
      argumentFormat: "json",
    });
    using prompt = finish(NativePrompt.read(model, CHAT));
    expect(prompt.facts()).toMatchObject({ text: expect.stringContaining("hi"), needsParser: expect.any(Boolean) });
    expect(prompt.tokens().length).toBeGreaterThan(1);
    expect(model.tokenOf("no single token is this long text")).toBeNull();
    const end = model.tokenOf("<|im_end|>");
    expect(end).not.toBeNull();
    expect([model.isEnd(end ?? 0), model.tokenBytes(end ?? 0, false).length]).toEqual([true, 0]);
    expect(new TextDecoder().decode(model.tokenBytes(end ?? 0, true))).toBe("<|im_end|>");
  });
});
