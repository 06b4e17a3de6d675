// Memory while weights are unpacked or put in order: the largest stored tensor may be held, and nothing beyond.

import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readGgufHeader } from "../../../src/formats/gguf/read-header.ts";
import { withFile } from "../../../src/formats/read-at.ts";
import { startConvert, watchMemory } from "../../support/convert-process.ts";
import { tinyTokenizer } from "../../support/hf-tokenizers.ts";
import { configOf, makeTensors, TINY, type TinyDecoder } from "../../support/tiny-decoders.ts";
import { type StoredTensor, zipOf } from "../../support/torch-folders.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-convert-memory-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Matrices of 33.5 million numbers, 67 MB in 16 bits. */
const LARGE: TinyDecoder = {
  ...TINY,
  width: 2048,
  inner: 16_384,
  heads: 16,
  keyValueHeads: 4,
  headLength: 128,
  layers: 2,
};
const HALF_BYTES = LARGE.width * LARGE.inner * 2;

const SIZES: Record<string, number> = { F16: 2, I32: 4, U32: 4 };
type Described = [name: string, dtype: string, shape: number[]];

function listShapes(): [name: string, shape: number[]][] {
  const one = [...makeTensors({ ...LARGE, width: 4, inner: 4, heads: 1, keyValueHeads: 1, headLength: 4 })];
  return one.map(([name]) => [name, shapeOf(name)]);
}

function shapeOf(name: string): number[] {
  const { width, inner, heads, keyValueHeads, headLength, vocabulary } = LARGE;
  if (/embed_tokens|lm_head/.test(name)) return [vocabulary, width];
  if (/norm/.test(name)) return [width];
  if (/q_proj/.test(name)) return [heads * headLength, width];
  if (/[kv]_proj/.test(name)) return [keyValueHeads * headLength, width];
  if (/o_proj/.test(name)) return [width, heads * headLength];
  return /down_proj/.test(name) ? [width, inner] : [inner, width];
}

function makeFolder(name: string, config: Record<string, unknown>): string {
  const folder = join(root, name);
  mkdirSync(folder);
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...configOf({ ...LARGE, dtype: "F16" }), ...config }));
  for (const [file, content] of Object.entries(tinyTokenizer()))
    writeFileSync(join(folder, file), JSON.stringify(content));
  return folder;
}

/** The weights are a hole in the file: it is the size that matters. */
function writeHollow(folder: string, tensors: readonly Described[]): void {
  const header: Record<string, unknown> = {};
  let at = 0;
  for (const [name, dtype, shape] of tensors) {
    const bytes = shape.reduce((product, size) => product * size, SIZES[dtype] ?? 1);
    header[name] = { dtype, shape, data_offsets: [at, at + bytes] };
    at += bytes;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const path = join(folder, "model.safetensors");
  writeFileSync(path, Buffer.concat([length, text]));
  truncateSync(path, 8 + text.length + at);
}

const packed = (
  name: string,
  config: Record<string, unknown>,
  pack: (path: string, shape: number[]) => Described[],
): string => {
  const folder = makeFolder(name, config);
  const tensors = listShapes().flatMap(([tensor, shape]): Described[] =>
    shape.length === 2 && tensor.includes("proj")
      ? pack(tensor.replace(/\.weight$/, ""), shape)
      : [[tensor, "F16", shape]],
  );
  writeHollow(folder, tensors);
  return folder;
};

const FOLDERS: Readonly<Record<string, () => { folder: string; largestBytes: number }>> = {
  GPTQ: () => ({
    folder: packed(
      "gptq",
      { quantization_config: { quant_method: "gptq", bits: 4 } },
      (path, [rows = 0, columns = 0]) => [
        [`${path}.qweight`, "I32", [columns / 8, rows]],
        [`${path}.qzeros`, "I32", [columns / 128, rows / 8]],
        [`${path}.scales`, "F16", [columns / 128, rows]],
        [`${path}.g_idx`, "I32", [columns]],
      ],
    ),
    largestBytes: HALF_BYTES / 4,
  }),
  MLX: () => ({
    folder: packed("mlx", { quantization: { bits: 4, group_size: 64 } }, (path, [rows = 0, columns = 0]) => [
      [`${path}.weight`, "U32", [rows, columns / 8]],
      [`${path}.scales`, "F16", [rows, columns / 64]],
      [`${path}.biases`, "F16", [rows, columns / 64]],
    ]),
    largestBytes: HALF_BYTES / 4,
  }),
  "transposed views of PyTorch": () => {
    const folder = makeFolder("torch", { num_hidden_layers: 1 });
    const tensors = listShapes().flatMap(([name, shape], index): StoredTensor[] => {
      if (name.includes("layers.1.")) return [];
      const data = new Uint8Array(shape.reduce((product, size) => product * size, 2));
      const strides = shape.length === 2 ? { strides: [1, shape[0] ?? 1] } : {};
      return [{ name, shape, key: String(index), storageClass: "HalfStorage", data, ...strides }];
    });
    writeFileSync(join(folder, "pytorch_model.bin"), zipOf(tensors));
    return { folder, largestBytes: HALF_BYTES };
  },
};

test.skipIf(process.platform !== "linux").each(Object.entries(FOLDERS))("of %s", async (name, make) => {
  const { folder, largestBytes } = make();
  const { code, out, largest } = await watchMemory(startConvert(folder, join(root, "home"), "q8_0"));
  expect(code).toBe(0);
  expect(withFile(out.trim(), (file) => readGgufHeader(file)).elementCount).toBeGreaterThan(100e6);
  // It was looked at while it ran.
  expect(largest).toBeGreaterThan(5e6);
  console.log(`${name}: RssAnon at most ${(largest / 1e6).toFixed(0)} MB`);
  expect(largest).toBeLessThan(2 * largestBytes + 200e6);
});
