// From a planned model to a quantised file, with a quantiser of the test's own: what is passed to it, what is left when it
// fails, is stopped or writes rubbish, and what is checked before.

import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ModelFile } from "../../src/convert/write-model.ts";
import { estimateBytes, type QuantizeJob, type Quantizing, writeQuantized } from "../../src/convert/write-quantized.ts";
import { encodeHeader } from "../../src/formats/gguf/write-header.ts";
import type { ConversionPhase } from "../../src/protocol/conversion.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-quantized-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folder = "";
let target = "";
beforeEach(() => {
  folder = mkdtempSync(join(root, "case-"));
  target = join(folder, "model.gguf");
});

const infos = [{ name: "blk.0.attn_q.weight", dims: [64, 4], type: "F16" }];
const file: ModelFile = {
  header: encodeHeader(new Map(), infos),
  tensors: [
    {
      name: "blk.0.attn_q.weight",
      chunks: function* () {
        yield new Uint8Array(512);
      },
    },
  ],
};

/** Copies, as if the type were the same. */
const copy = async ({ source, target: to, onProgress }: QuantizeJob): Promise<void> => {
  copyFileSync(source, to);
  onProgress(0);
  onProgress(0.5);
  onProgress(1);
};

function run(quantize: Quantizing["quantize"], changes: object = {}) {
  const seen: [number, number, ConversionPhase][] = [];
  const { signal } = new AbortController();
  const onProgress = (done: number, total: number, phase: ConversionPhase) => seen.push([done, total, phase]);
  const request = { force: false, signal, onProgress, quantize, ...changes };
  const result = writeQuantized(target, "q4_k_m", { file, infos }, request);
  return { seen, result };
}

describe("a quantised file", () => {
  test("is made of a whole one of plain numbers, which loses its name once it is open", async () => {
    let job: QuantizeJob | null = null;
    const { seen, result } = run(async (given) => {
      job = given;
      expect(readdirSync(folder)).toEqual([`.model.gguf.plain.${process.pid}.partial`]);
      copyFileSync(given.source, given.target);
      given.onProgress(0);
      expect(existsSync(given.source)).toBe(true);
      given.onProgress(0.5);
      expect(existsSync(given.source)).toBe(false);
    });
    const { bytes, notes } = await result;
    expect(bytes).toBe(file.header.fileBytes);
    expect(notes).toEqual(["1 tensors have rows that do not divide into blocks of 256; they became F16 instead"]);
    expect(job).toMatchObject({ fileType: 15, imatrix: null, allowRequantize: false });
    expect(readdirSync(folder)).toEqual(["model.gguf"]);
    const total = file.header.fileBytes;
    expect(seen.filter(([, , phase]) => phase === "write").at(-1)).toEqual([total, total, "write"]);
    expect(seen.at(-1)).toEqual([total, total, "quantize"]);
  });

  test("that fails leaves nothing", async () => {
    const failed = run(async (job) => {
      writeFileSync(job.target, "half");
      throw new Error("the quantiser died");
    });
    await expect(failed.result).rejects.toThrow("the quantiser died");
    expect(readdirSync(folder)).toEqual([]);
  });

  test("that is rubbish does not get the name", async () => {
    const failed = run(async (job) => writeFileSync(job.target, "GGUF and what then"));
    await expect(failed.result).rejects.toThrow();
    const cut = run(async (job) => writeFileSync(job.target, file.header.bytes));
    await expect(cut.result).rejects.toThrow("bytes are missing at its end");
    expect(readdirSync(folder)).toEqual([]);
  });

  test("that is stopped leaves nothing, and nothing is begun after that", async () => {
    const stop = new AbortController();
    const stopped = run(
      async (job) => {
        stop.abort();
        job.signal.throwIfAborted();
      },
      { signal: stop.signal },
    );
    await expect(stopped.result).rejects.toThrow();
    let isAsked = false;
    const early = new AbortController();
    const onProgress = () => early.abort();
    const never = async () => {
      isAsked = true;
    };
    await expect(run(never, { signal: early.signal, onProgress }).result).rejects.toThrow();
    expect(isAsked).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("that is there stays, unless it shall be replaced", async () => {
    writeFileSync(target, "mine");
    await expect(run(copy).result).rejects.toThrow("is already there");
    await run(copy, { force: true }).result;
    expect(readdirSync(folder)).toEqual(["model.gguf"]);
  });

  test("has the space that both files take, or nothing is begun", async () => {
    const large = [{ name: "a.weight", dims: [2 ** 20, 2 ** 26], type: "F16" }];
    const header = encodeHeader(new Map(), large);
    const request = { force: false, signal: new AbortController().signal, onProgress: () => {}, quantize: copy };
    const failed = writeQuantized(target, "q4_k_m", { file: { ...file, header }, infos: large }, request);
    await expect(failed).rejects.toMatchObject({ code: "storage_unavailable" });
    expect(readdirSync(folder)).toEqual([]);
  });

  test("is estimated on the safe side", () => {
    // Q6_K's 210 bytes for 256 values of the embedding, Q4_K's 144 of the rest, half of which may be Q6_K.
    const shapes = [
      { name: "token_embd.weight", dims: [1024, 32000] },
      { name: "blk.0.attn_q.weight", dims: [1024, 100_000] },
    ];
    const least = (1024 * 32000 * 210 + 1024 * 100_000 * 177) / 256;
    expect(estimateBytes(shapes, "q4_k_m")).toBeGreaterThan(least);
    expect(estimateBytes(shapes, "q4_k_m")).toBeLessThan(least * 1.2);
    expect(estimateBytes([{ name: "odd.weight", dims: [33, 10] }], "q4_k_m")).toBe(660);
    expect(estimateBytes([{ name: "norm.weight", dims: [33] }], "q4_k_m")).toBe(132);
  });
});
