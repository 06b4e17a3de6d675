// Files that the real llama.cpp quantises: their types are those of its rules, they are the bytes that llama-quantize writes,
// and they load and answer as the model that they were made of.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { factsOf, QUANTIZED_TYPES } from "../../src/convert/out-types.ts";
import { startQuantize } from "../../src/ffi/quantize.ts";
import { type GgufHeader, readGgufHeader } from "../../src/formats/gguf/read-header.ts";
import { withFile } from "../../src/formats/read-at.ts";
import { type CommandResult, runConvert } from "../support/convert-command.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { writeImatrix, writeOlderImatrix } from "../support/imatrix-writer.ts";
import { HAS_NATIVE, loadModelFile, NATIVE_FOLDER, openLlama } from "../support/llama-library.ts";
import { splitGguf } from "../support/split-gguf.ts";
import { TINY, type TinyDecoder, writeTinyFolder } from "../support/tiny-decoders.ts";

/** Rows of 256 and 512, which divide into every block. */
const EVEN: TinyDecoder = { ...TINY, dtype: "F16", width: 256, inner: 512, heads: 4, keyValueHeads: 2, headLength: 64 };
/** Rows of 96, which divide into blocks of 32 alone. */
const ODD: TinyDecoder = { ...EVEN, width: 96, inner: 96, heads: 3, keyValueHeads: 3, headLength: 32 };

const root = mkdtempSync(join(tmpdir(), "mlo-quantize-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const even = join(root, "Even");
const plain = join(root, "plain.gguf");
beforeAll(async () => {
  writeTinyFolder(even, EVEN, tinyTokenizer());
  await convert(even, plain, "f16");
});

async function convert(source: string, target: string, outType: string, ...more: string[]): Promise<CommandResult> {
  return await runConvert([source, target, "--outtype", outType, ...more], root);
}

const readHeader = (path: string): GgufHeader => withFile(path, (file) => readGgufHeader(file, { tensors: true }));

function typesOf(path: string): Record<string, string> {
  return Object.fromEntries((readHeader(path).tensors ?? []).map(({ name, type }) => [name, type]));
}

const TOKENS = Int32Array.from({ length: 32 }, (_, i) => (i * 37 + 11) % 256);

async function computeLogits(path: string): Promise<number[]> {
  using backend = await loadModelFile(path);
  expect(backend.decode([{ seqId: 0, tokens: TOKENS, start: 0, output: true }])).toBe("done");
  const { tokens, logits } = backend.topLogits(EVEN.vocabulary);
  const all: number[] = [];
  for (const [i, token] of tokens.entries()) all[token] = logits[i] ?? Number.NaN;
  return all;
}

/** ‖Δ‖₂/‖ref‖₂. */
function difference(found: readonly number[], expected: readonly number[]): number {
  const norm = (values: readonly number[]) => Math.hypot(...values);
  return norm(found.map((value, i) => value - (expected[i] ?? Number.NaN))) / norm(expected);
}

describe.skipIf(!HAS_NATIVE)("quantised by llama.cpp", () => {
  test("a folder as q4_k_m: types by its rules, and nothing beside the file", async () => {
    const folder = join(root, "out");
    mkdirSync(folder);
    const { code, path, log } = await convert(even, folder, "q4_k_m");
    expect({ code, path }).toEqual({ code: 0, path: join(folder, "Even-Q4_K_M.gguf") });
    expect(log).toContain("llama as q4_k_m: ");
    expect(log).toContain("2/2 quantising  100%");
    expect(log).not.toContain("note:");
    expect(readdirSync(folder)).toEqual(["Even-Q4_K_M.gguf"]);
    expect(readHeader(path).metadata.get("general.file_type")).toBe(15);
    const types = typesOf(path);
    // The last of two layers gets more bits where they count most.
    expect(types).toMatchObject({
      "token_embd.weight": "Q4_K",
      "output.weight": "Q6_K",
      "output_norm.weight": "F32",
      "blk.0.attn_q.weight": "Q4_K",
      "blk.0.attn_v.weight": "Q4_K",
      "blk.0.ffn_down.weight": "Q4_K",
      "blk.1.attn_v.weight": "Q6_K",
      "blk.1.ffn_down.weight": "Q6_K",
    });
    expect(Object.keys(types).sort()).toEqual(Object.keys(typesOf(plain)).sort());
  });

  test.each([
    ["q8_0", 0.05],
    ["q6_k", 0.05],
    ["q5_k_m", 0.1],
    ["q4_k_m", 0.2],
    ["iq4_xs", 0.2],
    ["q3_k_m", 0.4],
    ["q2_k", 0.9],
  ])("%s answers nearly as the model that it was made of", async (outType, limit) => {
    const { path } = await convert(plain, join(root, `near-${outType}.gguf`), outType);
    const found = difference(await computeLogits(path), await computeLogits(plain));
    console.log(`${outType}: logits differ by ${found.toFixed(3)}`);
    expect(found).toBeGreaterThan(0);
    expect(found).toBeLessThan(limit);
  });

  test.each([...QUANTIZED_TYPES])(
    "%s is made, or asks for an importance matrix, as the table says",
    async (outType) => {
      const { library } = await openLlama();
      const { fileType, needsImatrix } = factsOf(outType);
      const target = join(root, `native-${outType}.gguf`);
      const settings = { fileType, threads: 2, bufferBytes: 2 ** 20, allowRequantize: false };
      using job = startQuantize(library, plain, target, settings);
      let state = job.poll();
      for (; state.kind === "running"; state = job.poll()) await Bun.sleep(1);
      if (state.kind === "failed") expect(state.error.message).toContain("this quantization requires an imatrix");
      else expect(readHeader(target).metadata.get("general.file_type")).toBe(fileType);
      expect(state.kind).toBe(needsImatrix ? "failed" : "done");
    },
  );

  test("a GGUF gives the bytes that its folder gives", async () => {
    const [fromFile, fromFolder] = [join(root, "from-file.gguf"), join(root, "from-folder.gguf")];
    expect(await convert(plain, fromFile, "q5_k_m")).toMatchObject({ code: 0 });
    expect(await convert(even, fromFolder, "q5_k_m")).toMatchObject({ code: 0 });
    expect(readFileSync(fromFile).equals(readFileSync(fromFolder))).toBe(true);
  });

  test("any part of a split GGUF stands for the whole, which becomes one file", async () => {
    const parts = splitGguf(plain, join(root, "Split"));
    const folder = join(root, "joined");
    mkdirSync(folder);
    const whole = join(folder, "whole.gguf");
    expect(await convert(plain, whole, "q6_k")).toMatchObject({ code: 0 });
    for (const part of parts) {
      const { code, path } = await convert(part, folder, "q6_k", "--force");
      expect({ code, path }).toEqual({ code: 0, path: join(folder, "Split-Q6_K.gguf") });
      expect(typesOf(path)).toEqual(typesOf(whole));
      expect(readHeader(path).metadata.has("split.count")).toBe(false);
      expect(await computeLogits(path)).toEqual(await computeLogits(whole));
    }
    rmSync(parts[1] ?? "");
    const cut = await convert(parts[0] ?? "", folder, "q6_k", "--force");
    expect(cut.code).toBe(1);
    expect(cut.log).toContain("1 of 2 parts are missing");
  });

  const tool = join(NATIVE_FOLDER, "llama-quantize");
  if (!existsSync(tool)) console.error("skipped: llama-quantize is not built (build/native/llama-quantize)");
  test.skipIf(!existsSync(tool)).each(["q4_k_m", "q6_k", "iq4_xs", "iq2_xs", "q2_k", "q8_0"])(
    "%s is byte by byte what llama-quantize writes",
    async (outType) => {
      const matrix = join(root, "matrix.gguf");
      writeImatrix(matrix, matrixOf(typesOf(plain), 2));
      const [ours, theirs] = [join(root, `ours-${outType}.gguf`), join(root, `theirs-${outType}.gguf`)];
      const weighted = ["iq4_xs", "iq2_xs"].includes(outType);
      expect(await convert(plain, ours, outType, ...(weighted ? ["--imatrix", matrix] : []))).toMatchObject({
        code: 0,
      });
      // It notes the path as it is given: ours has the name alone.
      const command = [tool, ...(weighted ? ["--imatrix", "matrix.gguf"] : []), plain, theirs, outType];
      expect(Bun.spawnSync(command, { cwd: root }).exitCode).toBe(0);
      expect(readFileSync(ours).equals(readFileSync(theirs))).toBe(true);
    },
  );

  test("rows that do not divide become other types, and a note says so", async () => {
    const source = join(root, "Odd");
    writeTinyFolder(source, ODD, tinyTokenizer());
    const { code, path, log } = await convert(source, join(root, "odd.gguf"), "q4_k_m");
    expect(code).toBe(0);
    expect(log).toContain(
      "note: 16 tensors have rows that do not divide into blocks of 256; they became Q5_0, Q8_0 instead",
    );
    expect(typesOf(path)).toMatchObject({ "blk.0.attn_q.weight": "Q5_0", "output.weight": "Q8_0" });
    expect((await computeLogits(path)).every(Number.isFinite)).toBe(true);
  });

  test("an importance matrix of either format tells on the weights, and is named in the file", async () => {
    const matrices = matrixOf(typesOf(plain), 2);
    const [newer, older] = [join(root, "m.gguf"), join(root, "m.dat")];
    writeImatrix(newer, matrices);
    writeOlderImatrix(older, matrices);
    const withNewer = join(root, "with-newer.gguf");
    expect(await convert(plain, withNewer, "q4_k_m", "--imatrix", newer)).toMatchObject({ code: 0 });
    const withOlder = join(root, "with-older.gguf");
    expect(await convert(plain, withOlder, "q4_k_m", "--imatrix", older)).toMatchObject({ code: 0 });
    const without = join(root, "without.gguf");
    expect(await convert(plain, without, "q4_k_m")).toMatchObject({ code: 0 });
    const { metadata } = readHeader(withNewer);
    expect(metadata.get("quantize.imatrix.file")).toBe("m.gguf");
    expect(metadata.get("quantize.imatrix.chunks_count")).toBe(7);
    const weights = (path: string): Uint8Array => readFileSync(path).subarray(readHeader(path).dataOffset);
    expect(Buffer.compare(weights(withNewer), weights(without))).not.toBe(0);
    expect(Buffer.compare(weights(withNewer), weights(withOlder))).toBe(0);
    expect((await computeLogits(withNewer)).every(Number.isFinite)).toBe(true);
  });

  test("without one, or with another model's, small types are refused before anything is written", async () => {
    const target = join(root, "refused.gguf");
    expect(await convert(plain, target, "iq2_xs")).toMatchObject({ code: 2, path: "" });
    const foreign = join(root, "foreign.gguf");
    writeImatrix(foreign, [{ name: "blk.0.attn_q.weight", row: 512 }]);
    const { code, log } = await convert(plain, target, "iq2_xs", "--imatrix", foreign);
    expect(code).toBe(2);
    expect(log).toContain("is the importance matrix of another model");
    const partial = join(root, "partial.gguf");
    writeImatrix(partial, matrixOf(typesOf(plain), 1));
    const late = await convert(plain, target, "iq2_xs", "--imatrix", partial);
    expect(late.code).toBe(2);
    expect(late.log).toContain("Missing importance matrix for tensor");
    expect(readdirSync(root).filter((name) => name.includes("refused"))).toEqual([]);
  });

  test("what is quantised already is refused, unless it is asked for", async () => {
    const small = join(root, "small.gguf");
    expect(await convert(plain, small, "q8_0")).toMatchObject({ code: 0 });
    const target = join(root, "smaller.gguf");
    const refused = await convert(small, target, "q4_k_m");
    expect(refused).toMatchObject({ code: 2, path: "" });
    expect(refused.log).toContain("small.gguf is quantised already (Q8_0)");
    expect(await convert(small, target, "q4_k_m", "--allow-requantize")).toMatchObject({ code: 0, path: target });
    expect(typesOf(target)["blk.0.attn_q.weight"]).toBe("Q4_K");
  });

  test("a GGUF is never written over itself, needs a type, and must be a model", async () => {
    const own = await convert(plain, plain, "q4_k_m", "--force");
    expect(own.code).toBe(2);
    expect(own.log).toContain("DST is SRC itself");
    const untyped = await runConvert([plain, join(root, "x.gguf")], root);
    expect(untyped.log).toContain("Add --outtype");
    const matrix = join(root, "alone.gguf");
    writeImatrix(matrix, matrixOf(typesOf(plain), 2));
    const none = await convert(matrix, join(root, "x.gguf"), "q4_k_m");
    expect(none.code).toBe(1);
    expect(none.log).toContain("an importance matrix");
    const text = await convert(join(even, "config.json"), join(root, "x.gguf"), "q4_k_m");
    expect(text.log).toContain("is no GGUF file");
  });
});

/** Of the matrices of so many layers. */
function matrixOf(types: Record<string, string>, layers: number) {
  return Object.entries(types)
    .filter(([name, type]) => type !== "F32" && Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? layers) < layers)
    .map(([name]) => ({ name, row: name.includes("ffn_down") ? EVEN.inner : EVEN.width }));
}
