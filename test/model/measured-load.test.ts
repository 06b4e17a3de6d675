// A real engine's memory against what was measured before its load: after it has read prompts as long as its context and
// answered, what it holds of its own is within 5 % or 64 MiB of the measure, and it maps what the measure says.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { estimateNeed } from "../../src/models/memory/estimate-need.ts";
import { describeRepacking } from "../../src/models/memory/repacking.ts";
import type { MeasuredNeed } from "../../src/protocol/memory-need.ts";
import { cleanEnvironment } from "../support/child-process.ts";
import { postJson } from "../support/completions.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import type { Json } from "../support/http-app.ts";
import { writeLargeShape } from "../support/large-shapes.ts";
import { SMALL_EXPERTS } from "../support/large-specs.ts";
import { HAS_NATIVE, NATIVE_FOLDER, openLlama } from "../support/llama-library.ts";
import { describeEngine, LOAD, readShapeOf } from "../support/memory-settings.ts";
import { BERT_CLS_SPEC, GEMMA_SPEC, LFM2_SPEC, MAMBA_SPEC, type ModelSpec, TINY_SPEC } from "../support/model-specs.ts";
import { startServer } from "../support/server.ts";
import { readSimd } from "../support/simd.ts";
import { listChildren, readRssAnon } from "../support/sparse-folder.ts";

const MIB = 1024 ** 2;
const PROGRAM = join(import.meta.dir, "../support/measure-program.ts");
const isLinux = process.platform === "linux";
if (!isLinux) console.warn("skipped: what a process holds is read from /proc, which is Linux's");

const SETTINGS = { contextLength: 8192, parallel: 2, retainedMax: 2, batchSize: 512, microBatchSize: 512 };
/** Cells of 256 MiB, so that a measure without them would be wrong by more than the tolerance. */
const ROOMY: ModelSpec = { ...TINY_SPEC, kvHeads: 4, headSize: 256, layers: 8, contextLength: 8192 };
/** The same of copies, of 85 MiB. */
const REPACKED: ModelSpec = {
  ...TINY_SPEC,
  weights: "Q4_0",
  width: 256,
  feedForward: 16_384,
  layers: 12,
  repeated: "all",
};

/** Of 4-bit weights, of which some processors make copies. */
const PACKED = ["repacked weights", "experts"];
const CASES: [string, () => string][] = [
  ["plain, with many cells", () => cacheModel(ROOMY)],
  ["repacked weights", () => cacheModel(REPACKED)],
  ["experts", () => writeLargeShape(SMALL_EXPERTS)],
  ["sliding windows", () => cacheModel(GEMMA_SPEC)],
  ["recurrent", () => cacheModel(MAMBA_SPEC)],
  ["hybrid", () => cacheModel(LFM2_SPEC)],
  ["an encoder", () => cacheModel(BERT_CLS_SPEC)],
];

/** In a child of its own, as the server asks. */
async function measure(path: string): Promise<MeasuredNeed> {
  const { plugin } = await openLlama();
  const settings = describeEngine(path, plugin, { ...SETTINGS, threads: 0 });
  const child = Bun.spawnSync([process.execPath, PROGRAM, JSON.stringify([settings])], {
    env: cleanEnvironment({ ML_OFFLOAD_NATIVE_DIR: NATIVE_FOLDER }),
  });
  const answer = JSON.parse(child.stdout.toString());
  if (answer.kind !== "answer") throw new Error(`the job failed: ${answer.reason}`);
  return answer.answer.measured;
}

/** Whether this processor's plug-in copies 4-bit weights. */
async function copiesPacked(): Promise<boolean> {
  return describeRepacking(readSimd(), (await openLlama()).plugin).some(({ type }) => type === "Q4_0");
}

/** The one that says it is an engine. */
function findEngine(server: number): number {
  const engine = listChildren(server).find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("\0engine"));
  if (engine === undefined) throw new Error("the server has no engine");
  return engine;
}

function countMapped(pid: number, path: string): number {
  const ranges = readFileSync(`/proc/${pid}/maps`, "utf8")
    .split("\n")
    .filter((line) => line.endsWith(path))
    .map((line) => (line.split(" ")[0] ?? "").split("-").map((address) => Number.parseInt(address, 16)));
  return ranges.reduce((sum, [start = 0, end = 0]) => sum + end - start, 0);
}

async function ask(url: string, embeds: boolean, count: number): Promise<void> {
  const words = Array.from({ length: count }, (_, i) => `word ${i}`).join(", ");
  const body = embeds
    ? { input: [words.slice(0, 900), "short"] }
    : { prompt: [words, `Other: ${words}`], max_tokens: 16 };
  const reply = await postJson(`${url}/v1/${embeds ? "embeddings" : "completions"}`, body);
  expect(reply.status).toBe(200);
  await reply.text();
}

describe.skipIf(!HAS_NATIVE || !isLinux)("an engine holds what was measured", () => {
  test.each(CASES)("%s", async (name, write) => {
    const path = write();
    const { need, repackedBytes } = await measure(path);
    const { weightsBytes, kvBytes, computeBytes, overheadBytes, mappedBytes } = need.host;
    const expected = weightsBytes + kvBytes + computeBytes + overheadBytes;
    const { contextLength, parallel, retainedMax, batchSize, microBatchSize } = SETTINGS;
    const numbers = { ctx: contextLength, parallel, retained: retainedMax, batch: batchSize, ubatch: microBatchSize };
    // The formula reckons the process itself from constants, which were measured as this is.
    const load = { ...LOAD, ...SETTINGS };
    const repacking = describeRepacking(readSimd(), (await openLlama()).plugin);
    const estimate = estimateNeed(readShapeOf(path), load, { repacking }).host;
    console.log(
      `overhead: ${Math.round(estimate.overheadBytes / MIB)} MiB reckoned, ${Math.round(overheadBytes / MIB)} measured`,
    );
    expect(Math.abs(estimate.overheadBytes - overheadBytes)).toBeLessThanOrEqual(32 * MIB);
    const server = await startServer({
      args: [
        ...["--model", path, "--ctx", String(numbers.ctx), "--parallel", String(numbers.parallel)],
        ...["--retained", String(numbers.retained), "--kv-store", "off", "--speculate", "off"],
        ...["--batch-size", String(numbers.batch), "--ubatch-size", String(numbers.ubatch)],
      ],
    });
    try {
      const embeds = name === "an encoder";
      await ask(server.url, embeds, name === "repacked weights" ? 200 : 400);
      await ask(server.url, embeds, name === "repacked weights" ? 200 : 400);
      const engine = findEngine(server.pid);
      const held = readRssAnon(engine);
      console.log(`${name}: ${Math.round(held / MIB)} MiB held, ${Math.round(expected / MIB)} measured`);
      expect(Math.abs(held - expected)).toBeLessThanOrEqual(Math.max(64 * MIB, 0.05 * expected));
      expect(countMapped(engine, path)).toBeGreaterThanOrEqual(mappedBytes);
      expect(repackedBytes > 0).toBe(PACKED.includes(name) && (await copiesPacked()));
      const { engines } = (await (await fetch(`${server.url}/api/backend/info`)).json()) as Json;
      const told = engines[0].info.memoryNeed.host;
      expect([told.weightsBytes, told.mappedBytes, told.kvBytes]).toEqual([weightsBytes, mappedBytes, kvBytes]);
    } finally {
      await server.stop();
    }
  });
});
