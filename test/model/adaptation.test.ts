// Lowered and given back over a real engine: what it answers before, meanwhile and afterwards is the same, memory really
// comes back, and what was kept is read from disk. The machine's readings are the test's.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/lib/log.ts";
import type { GenerationEvent } from "../../src/protocol/generation.ts";
import type { EngineSettings } from "../../src/protocol/messages.ts";
import { CALM_MS } from "../../src/router/adaptation/adaptation.ts";
import { AdaptationWatch, type EngineAdaptation, LOOK_MS } from "../../src/router/adaptation/adaptation-watch.ts";
import { EngineProcess } from "../../src/router/engines/engine-process.ts";
import { makeEngineSettings } from "../support/engine-settings.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, type OpenLlama, openLlama } from "../support/llama-library.ts";
import { LLAMA_SPEC, MAMBA_SPEC, type ModelSpec } from "../support/model-specs.ts";
import { type MachineChanges, makePressed } from "../support/pressed-machines.ts";

const MIB = 1024 ** 2;
const NO_MEMORY: MachineChanges = { memory: { availableBytes: 0 } };
/** 8 KiB of KV a token. */
const WIDE_SPEC: ModelSpec = { ...LLAMA_SPEC, tokenizer: "llama-spm", layers: 2, kvHeads: 4, headSize: 256 };
const KV_BYTES_OF_TOKEN = 8 * 1024;
const CONTEXT = 16_384;
const TEXT = "The sea was calm, and the old ship lay in the harbour. ".repeat(60);
const TIMEOUT_MS = 120_000;

interface Said {
  text: string;
  cached: number;
  disk: number;
}

describe.skipIf(!HAS_NATIVE)("an engine under pressure", () => {
  let llama: OpenLlama;
  let folder: string;
  const testMain = Bun.main;
  const setMain = (path: string): void => {
    (Bun as { main: string }).main = path;
  };

  beforeAll(async () => {
    llama = await openLlama();
    folder = mkdtempSync(join(tmpdir(), "mlo-adapt-"));
    setMain(join(import.meta.dir, "../../src/main.ts"));
  });
  afterAll(() => {
    setMain(testMain);
    rmSync(folder, { recursive: true, force: true });
  });

  const start = (spec: ModelSpec, name: string, changes: Partial<EngineSettings> = {}): Promise<EngineProcess> =>
    EngineProcess.start({
      libraryPath: llama.files.library,
      settings: makeEngineSettings(cacheModel(spec), llama.plugin, {
        contextLength: CONTEXT,
        parallel: 8,
        batchSize: 512,
        microBatchSize: 512,
        retainedMax: 8,
        kvStore: { folder: join(folder, name), bytesMax: 1e9, buildKey: "test" },
        ...changes,
      }),
      modelId: name,
      backend: { wanted: [], used: ["cpu"], fallback: null, skipped: [] },
      signal: new AbortController().signal,
      loadTimeoutMs: 60_000,
      log: silentLogger,
      clock: systemClock,
    });

  const ask = async (engine: EngineProcess, text: string, maxTokens = 16): Promise<Said> => {
    const { signal } = new AbortController();
    const request = {
      prompt: { kind: "text" as const, text },
      sampling: { temperature: 0, ignoreEos: true },
      stop: [],
      maxTokens,
    };
    const { events } = await engine.client.generate(request, signal);
    return await collect(events);
  };

  class Pressure {
    readonly clock = new FakeClock();
    readonly told: EngineAdaptation[] = [];
    readonly watch: AdaptationWatch;
    machine: MachineChanges = {};

    constructor(engine: EngineProcess) {
      this.watch = new AdaptationWatch({
        readMachine: async () => makePressed(this.machine),
        policy: { autoOptimization: true, thermalThrottling: true, powerManagement: true, lowersExplicit: false },
        clock: this.clock,
        log: silentLogger,
        publish: (adaptation) => this.told.push(adaptation),
      });
      this.watch.watch("m", engine, new Set());
    }

    /** Looks once, with this machine. */
    async set(machine: MachineChanges): Promise<void> {
      this.machine = machine;
      this.clock.advance(LOOK_MS);
      await Bun.sleep(0);
    }

    async calmDown(): Promise<void> {
      await this.set({});
      while ((this.told.at(-1)?.level ?? 0) > 0) {
        this.clock.advance(CALM_MS);
        await Bun.sleep(0);
      }
    }
  }

  /** The engine looks at its socket between two steps. */
  async function waitFor(
    engine: EngineProcess,
    holds: (stats: Awaited<ReturnType<EngineProcess["client"]["stats"]>>) => boolean,
  ) {
    for (;;) {
      const stats = await engine.client.stats();
      if (holds(stats)) return stats;
    }
  }

  test(
    "answers the same, keeps its streams, gives pages of the KV cache back, and reads from disk what it dropped",
    async () => {
      const engine = await start(WIDE_SPEC, "wide");
      try {
        const before = await ask(engine, TEXT);
        await ask(engine, `Another. ${TEXT}`);
        const used = (await engine.client.stats()).ledger.used;
        const fullBytes = readRssAnon(engine.pid);
        const pressure = new Pressure(engine);
        const stream = ask(engine, `A third. ${TEXT}`, 200);
        await waitFor(engine, ({ running, retained }) => running === 1 && retained.sequences === 2);
        await pressure.set(NO_MEMORY);
        expect(pressure.told).toMatchObject([{ level: 6, limits: { promptRows: 32, places: 2, cacheShare: 0 } }]);
        const lowered = await waitFor(engine, ({ retained, running }) => retained.sequences === 0 && running === 0);
        expect(lowered.limits).toEqual({ promptRows: 32, places: 2, retained: 0, checkpointBytes: 0 });
        expect((await stream).text.length).toBeGreaterThan(100);
        expect(lowered.ledger.used).toBe(0);
        // All of the cache but what lies beside a page's border.
        const freedBytes = fullBytes - readRssAnon(engine.pid);
        console.log(
          `${Math.round(freedBytes / MIB)} MiB came back, of ${(CONTEXT * KV_BYTES_OF_TOKEN) / MIB} MiB of KV`,
        );
        expect(freedBytes).toBeGreaterThan(0.8 * CONTEXT * KV_BYTES_OF_TOKEN);
        expect(used).toBeGreaterThan(1000);
        const meanwhile = await ask(engine, TEXT);
        expect(meanwhile.text).toBe(before.text);
        expect(meanwhile.disk).toBeGreaterThan(256);
        await pressure.calmDown();
        const restored = await waitFor(engine, ({ limits }) => limits.places === 8);
        expect(restored.limits).toMatchObject({ promptRows: engine.info.batchSize, places: 8, retained: 8 });
        const after = await ask(engine, TEXT);
        expect(after.text).toBe(before.text);
        expect((await ask(engine, TEXT)).cached).toBeGreaterThan(256);
        pressure.watch.stop();
      } finally {
        await engine.stop();
      }
    },
    TIMEOUT_MS,
  );

  test(
    "copies of recurrent state leave memory, and the next engine starts from the disk",
    async () => {
      const spec = { ...MAMBA_SPEC };
      const engine = await start(spec, "mamba", { parallel: 4, retainedMax: 4 });
      const first = await ask(engine, TEXT);
      expect((await engine.client.stats()).checkpoints.count).toBeGreaterThan(0);
      const pressure = new Pressure(engine);
      await pressure.set(NO_MEMORY);
      const lowered = await waitFor(
        engine,
        ({ retained, checkpoints }) => retained.sequences + checkpoints.count === 0,
      );
      expect(lowered.checkpoints.bytes).toBe(0);
      pressure.watch.stop();
      await engine.stop();
      const next = await start(spec, "mamba", { parallel: 4, retainedMax: 4 });
      try {
        const again = await ask(next, TEXT);
        expect(again.text).toBe(first.text);
        expect(again.disk).toBeGreaterThan(256);
      } finally {
        await next.stop();
      }
    },
    TIMEOUT_MS,
  );
});

async function collect(events: AsyncIterable<GenerationEvent>): Promise<Said> {
  let text = "";
  for await (const event of events) {
    if (event.type === "delta") text += event.text ?? "";
    if (event.type === "error") throw new Error(event.error.message);
    if (event.type === "done") return { text, cached: event.usage.cachedTokens, disk: event.cache.disk };
  }
  throw new Error("it ended without an end");
}

function readRssAnon(pid: number): number {
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024;
}
