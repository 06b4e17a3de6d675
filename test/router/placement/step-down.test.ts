// Loads that memory does not suffice for, over starts that the test decides: refused with what may help, or tried with less
// where that is allowed; other failures go on their way.

import { describe, expect, test } from "bun:test";
import { silentLogger } from "../../../src/lib/log.ts";
import { AppError, type ErrorCode } from "../../../src/protocol/errors.ts";
import type { EngineSettings } from "../../../src/protocol/messages.ts";
import { type EngineProcess, StartFailure } from "../../../src/router/engines/engine-process.ts";
import { listAlternatives } from "../../../src/router/placement/load-alternatives.ts";
import { type StepDownOptions, startSteppingDown } from "../../../src/router/placement/step-down.ts";
import { FakeEngine } from "../../support/fake-engines.ts";

const SETTINGS: EngineSettings = {
  modelPath: "/m.gguf",
  plugins: [],
  contextLength: 0,
  parallel: 0,
  batchSize: 2048,
  microBatchSize: 512,
  threads: 0,
  gpuLayers: -1,
  itlMsMax: 0,
  speculates: false,
  draft: null,
  retainedMax: 64,
  kvStore: null,
  adapters: [],
};
const ALTERNATIVES = listAlternatives(SETTINGS, { context: false, batch: false });

/** Starts that fail until the settings are small enough. */
class Starts {
  readonly tried: { contextLength: number; microBatchSize: number; steppedDown: readonly string[] }[] = [];
  readonly warnings: string[] = [];
  code: ErrorCode = "out_of_memory";
  died = false;

  constructor(readonly fits: (settings: EngineSettings) => boolean) {}

  run(changes: Partial<StepDownOptions> = {}): Promise<EngineProcess> {
    return startSteppingDown({
      modelId: "m",
      settings: SETTINGS,
      onOom: "step-down",
      alternatives: ALTERNATIVES,
      start: async (settings, steppedDown) => {
        const { contextLength, microBatchSize } = settings;
        this.tried.push({ contextLength, microBatchSize, steppedDown });
        if (this.fits(settings)) return new FakeEngine("m", 1).asProcess();
        const message = `no room for ${contextLength}`;
        throw new StartFailure(new AppError({ code: this.code, message, hint: "the hint" }), this.died);
      },
      log: { ...silentLogger, warn: (message) => void this.warnings.push(message) },
      ...changes,
    });
  }

  async failure(changes: Partial<StepDownOptions> = {}): Promise<StartFailure> {
    return await this.run(changes).then(
      () => {
        throw new Error("it started");
      },
      (thrown: StartFailure) => thrown,
    );
  }
}

describe("stepping down", () => {
  test("what fits is started once, and nothing is said", async () => {
    const starts = new Starts(() => true);
    await starts.run();
    expect([starts.tried, starts.warnings]).toEqual([[{ contextLength: 0, microBatchSize: 512, steppedDown: [] }], []]);
  });

  test("goes as far as it has to, says each step, and tells the engine what it is", async () => {
    const starts = new Starts(({ contextLength }) => contextLength === 4096);
    await starts.run();
    expect(starts.tried.map(({ contextLength }) => contextLength)).toEqual([0, 8192, 4096]);
    expect(starts.warnings).toHaveLength(2);
    expect(starts.tried.at(-1)?.steppedDown).toEqual([
      "the context has at most 4096 tokens (--ctx 4096), because memory did not suffice for more: no room for 8192",
    ]);
  });

  test("refuses when even the least does not fit, and says what that was", async () => {
    const starts = new Starts(() => false);
    const { error } = await starts.failure();
    expect(starts.tried).toHaveLength(1 + ALTERNATIVES.length);
    expect(error.code).toBe("out_of_memory");
    expect(error.message).toContain(
      "no room for 2048 That was with what is least: the context has at most 2048 tokens",
    );
  });

  test("is not done unless it is allowed: the refusal names the smallest change", async () => {
    const starts = new Starts(() => false);
    starts.died = true;
    const { error, died } = await starts.failure({ onOom: "refuse" });
    expect(starts.tried).toHaveLength(1);
    expect(died).toBe(true);
    expect(error.toBody()).toEqual({
      code: "out_of_memory",
      message: "no room for 0",
      hint: "The smallest change that may help: the context has at most 8192 tokens (--ctx 8192). With --on-oom step-down the server tries it by itself.",
    });
  });

  test("without an alternative the refusal stays as it is", async () => {
    for (const onOom of ["refuse", "step-down"] as const) {
      const { error } = await new Starts(() => false).failure({ onOom, alternatives: [] });
      expect(error.toBody()).toEqual({ code: "out_of_memory", message: "no room for 0", hint: "the hint" });
    }
  });

  test("other failures are not helped by less", async () => {
    const starts = new Starts(() => false);
    starts.code = "model_damaged";
    expect((await starts.failure()).error.code).toBe("model_damaged");
    expect(starts.tried).toHaveLength(1);
    const bug = await startSteppingDown({
      modelId: "m",
      settings: SETTINGS,
      onOom: "step-down",
      alternatives: ALTERNATIVES,
      start: () => Promise.reject(new TypeError("a bug")),
      log: silentLogger,
    }).catch((thrown: Error) => thrown);
    expect(bug).toBeInstanceOf(TypeError);
  });

  test("another failure on the way down ends it", async () => {
    const starts = new Starts(({ contextLength }) => {
      if (contextLength === 8192) starts.code = "timeout";
      return false;
    });
    expect((await starts.failure()).error.code).toBe("timeout");
    expect(starts.tried).toHaveLength(2);
  });
});

describe("alternatives", () => {
  const sizes = (changes: Partial<EngineSettings>, batch = false, context = false) =>
    listAlternatives({ ...SETTINGS, ...changes }, { context, batch }).map(({ settings }) => [
      settings.contextLength,
      settings.microBatchSize,
    ]);

  test("each has less than the one before, the mildest first", () => {
    expect(sizes({})).toEqual([
      [8192, 512],
      [4096, 512],
      [2048, 512],
      [2048, 128],
    ]);
  });

  test("of a context that a plan has chosen only shorter ones", () => {
    expect(sizes({ contextLength: 6000 }, true).map(([tokens]) => tokens)).toEqual([4096, 2048]);
    expect(sizes({ contextLength: 2048 }, true)).toEqual([]);
  });

  test("what was set explicitly is kept", () => {
    expect(sizes({ contextLength: 32_768 }, false, true)).toEqual([[32_768, 128]]);
    expect(sizes({}, true).map(([, rows]) => rows)).toEqual([512, 512, 512]);
    expect(sizes({ contextLength: 10_000 }, true, true)).toEqual([]);
    expect(sizes({ contextLength: 10_000, microBatchSize: 128 }, false, true)).toEqual([]);
  });
});
