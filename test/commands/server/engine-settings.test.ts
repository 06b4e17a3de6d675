// What an engine is started with: the server's settings, and what a model's own file makes of them.

import { expect, test } from "bun:test";
import { describeStart, type EngineSources } from "../../../src/commands/server/engine-settings.ts";
import { resolveConfig } from "../../../src/config.ts";
import type { EngineChanges } from "../../../src/protocol/model-settings.ts";
import type { NativeFiles } from "../../../src/router/backends/native-files.ts";
import { makeEntry } from "../../support/fake-engines.ts";
import { DEMO_PATH } from "../../support/fake-inference.ts";

const folders = { config: "/c", data: "/d", state: "/s", cache: "/k" };
const flags = new Map([["ctx", ["4096"]]]);
const sources: EngineSources = {
  config: resolveConfig({ flags, env: {}, folders, cwd: "/" }, null).values,
  files: { library: "/lib.so", buildId: "x" } as NativeFiles,
  plugins: ["/cpu.so"],
  folders,
  adapted: { modelPath: "/models/b.gguf", adapters: [] },
};

const start = (engine: EngineChanges, isDefault = false) => {
  return describeStart(sources, makeEntry("a", { settings: { engine, sampling: {} } }), isDefault);
};

test("a model file's settings reach the engine, the others stay", () => {
  const plain = start({}).settings;
  expect(plain).toMatchObject({ modelPath: "/models/a.gguf", contextLength: 4096, draft: null, adapters: [] });
  expect(plain.pooling).toBeUndefined();
  const changes = { ctx: 99, threads: 3, gpuLayers: 0, pooling: "cls", kvStore: false, contextShift: true } as const;
  expect(start(changes).settings).toEqual({
    ...plain,
    contextLength: 99,
    threads: 3,
    gpuLayers: 0,
    pooling: "cls",
    kvStore: null,
    shiftsContext: true,
  });
  expect(start({ loadTimeoutSeconds: 5 }).loadTimeoutMs).toBe(5000);
});

test("its draft model guesses for it, whether it is the default model or not", () => {
  expect(start({ draftModel: DEMO_PATH, draftMax: 4 }).settings.draft).toEqual({ modelPath: DEMO_PATH, tokensMax: 4 });
  expect(() => start({ draftModel: "/nowhere.gguf" })).toThrow("/nowhere.gguf");
});

test("adapters that are not there end the load, and not the server", () => {
  expect(() => start({ lora: ["/nowhere.gguf=0.5"] })).toThrow("/nowhere.gguf");
});
