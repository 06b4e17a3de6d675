// gpt-oss with experts of four bits: they become the same numbers in ggml's order, whatever type is asked for; what can't be
// kept so is refused.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OutType } from "../../src/convert/out-types.ts";
import { detectFormat } from "../../src/formats/detect.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { convertFolder, readWritten } from "../support/convert-folder.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { type PackedFamily, writePackedFamily } from "../support/packed-families.ts";
import { makeGptOss, packGptOss } from "../support/tiny-gpt-oss.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-gpt-oss-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const PACKED = packGptOss(makeGptOss({ dtype: "BF16", hasYarn: true }));
const CODES = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

function write(name: string, config: Record<string, unknown> = {}, { family, stored }: PackedFamily = PACKED): string {
  const folder = join(root, name);
  writePackedFamily(
    folder,
    { family: { ...family, config: { ...family.config, ...config } }, stored },
    tinyTokenizer(),
  );
  return folder;
}

async function refusalOf(folder: string, outType: OutType = "f16"): Promise<AppError> {
  try {
    await convertFolder(folder, outType);
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown;
    throw thrown;
  }
  throw new Error("it was converted");
}

/** ggml's blocks: an exponent, then sixteen bytes with a number of each half. */
function decodeBlocks(data: Uint8Array): Float32Array {
  const values = new Float32Array((data.length / 17) * 32);
  for (let i = 0; i < values.length; i++) {
    const [block, place] = [Math.floor(i / 32) * 17, i % 32];
    const byte = data[block + 1 + (place % 16)] as number;
    const code = place < 16 ? byte & 15 : byte >> 4;
    values[i] = (CODES[code & 7] as number) * (code > 7 ? -1 : 1) * 2 ** ((data[block] as number) - 127);
  }
  return values;
}

describe("gpt-oss in four bits", () => {
  test("is convertible without a loss", () => {
    expect(detectFormat(write("detected"))).toMatchObject({
      verdict: "convertible",
      quantization: "MXFP4",
      architecture: "GptOssForCausalLM",
    });
  });

  test.each(["f32", "q8_0"] as const)("as %s: the experts' numbers are the same", async (outType) => {
    const { path, report } = await convertFolder(write(`same-${outType}`), outType);
    expect(report.architecture).toBe("gpt-oss");
    const file = readWritten(path);
    for (const [name, part, step] of [
      ["ffn_gate_exps", 0, 2],
      ["ffn_up_exps", 1, 2],
      ["ffn_down_exps", 0, 1],
    ] as const) {
      const { dims, typeId, data } = file.tensor(`blk.1.${name}.weight`);
      expect(typeId).toBe(39);
      const [columns = 0, rows = 0, experts = 0] = dims;
      const source = name === "ffn_down_exps" ? "down_proj" : "gate_up_proj";
      const { values } = PACKED.family.tensors.get(`model.layers.1.mlp.experts.${source}`) ?? { values: [] };
      const expected = Float32Array.from({ length: columns * rows * experts }, (_, i) => {
        const [column, row, expert] = [i % columns, Math.floor(i / columns) % rows, Math.floor(i / columns / rows)];
        return values[(expert * columns + column) * rows * step + row * step + part] as number;
      });
      const written = decodeBlocks(data.subarray(0, (expected.length / 32) * 17));
      expect(written).toEqual(expected);
    }
  });

  test("is not rounded a second time", async () => {
    const refusal = await refusalOf(write("rounded"), "q4_k_m");
    expect(refusal).toMatchObject({ code: "format_unsupported" });
    expect(refusal.message).toContain("four bits a number already");
  });

  test("what llama.cpp computes otherwise is refused, and what it rounds is noted", async () => {
    for (const [name, config, message] of [
      ["limit", { swiglu_limit: 5 }, "swiglu_limit"],
      ["order", { layer_types: ["full_attention", "sliding_attention", "full_attention"] }, "another order of layers"],
      ["window", { sliding_window: null }, "sliding_window"],
      ["used", { num_experts_per_tok: 5 }, "at most 4"],
    ] as const) {
      expect((await refusalOf(write(name, config))).message).toContain(message);
    }
    const scaling = { ...(PACKED.family.config.rope_scaling as Record<string, unknown>), truncate: false };
    const { report } = await convertFolder(write("ramp", { rope_scaling: scaling }), "f16");
    expect(report.notes.join()).toContain("YaRN's ramp");
  });

  test("blocks of another type, and blocks without scales, are refused", async () => {
    const typed = PACKED.stored.map((tensor) =>
      tensor.name.endsWith("_scales") ? { ...tensor, dtype: "I8" } : tensor,
    );
    expect((await refusalOf(write("typed", {}, { ...PACKED, stored: typed }))).message).toContain("not U8");
    const missing = PACKED.stored.filter(({ name }) => name !== "model.layers.2.mlp.experts.down_proj_scales");
    expect((await refusalOf(write("missing", {}, { ...PACKED, stored: missing }))).message).toContain(
      "1 tensors are missing",
    );
  });
});
