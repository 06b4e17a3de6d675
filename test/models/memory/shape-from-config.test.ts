// A config.json says as much of memory as the file that is made of it: both shapes are put to the same formula.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { estimateNeed } from "../../../src/models/memory/estimate-need.ts";
import { readConfigShape } from "../../../src/models/memory/shape-from-config.ts";
import { convertFolder } from "../../support/convert-folder.ts";
import { tinyTokenizer } from "../../support/hf-tokenizers.ts";
import { LOAD, readShapeOf } from "../../support/memory-settings.ts";
import { TINY, type TinyDecoder, writeTinyFolder } from "../../support/tiny-decoders.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-config-shape-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const EXPERTS = { count: 4, used: 2, inner: 96, sharedInner: 0 };
const CASES: [string, TinyDecoder][] = [
  ["Llama", TINY],
  ["tied", { ...TINY, isTied: true }],
  ["Qwen3", { ...TINY, architecture: "Qwen3ForCausalLM", headLength: 64 }],
  ["Mixtral", { ...TINY, architecture: "MixtralForCausalLM", experts: EXPERTS }],
  ["Qwen3 with experts", { ...TINY, architecture: "Qwen3MoeForCausalLM", experts: EXPERTS }],
];

describe("the shape of a config.json", () => {
  test.each(CASES)("%s takes what the converted file takes", async (name, model) => {
    const source = join(folder, name);
    writeTinyFolder(source, model, tinyTokenizer());
    const { path } = await convertFolder(source, "f16");
    const config = JSON.parse(readFileSync(join(source, "config.json"), "utf8"));
    const shape = readConfigShape(config, "F16");
    if (shape === null) throw new Error("it has no shape");
    const found = estimateNeed(shape, LOAD).host;
    const expected = estimateNeed(readShapeOf(path), LOAD).host;
    expect([found.kvBytes, found.computeBytes]).toEqual([expected.kvBytes, expected.computeBytes]);
    // Norms of heads and such are not in it.
    expect(Math.abs(found.mappedBytes - expected.mappedBytes)).toBeLessThanOrEqual(0.02 * expected.mappedBytes);
    expect(Math.abs(found.overheadBytes - expected.overheadBytes)).toBeLessThanOrEqual(1024 ** 2);
  });

  test("of a published model comes to its size", () => {
    const deepseek = readConfigShape(
      {
        architectures: ["DeepseekV2ForCausalLM"],
        hidden_size: 2048,
        num_hidden_layers: 27,
        num_attention_heads: 16,
        num_key_value_heads: 16,
        intermediate_size: 10_944,
        vocab_size: 102_400,
        max_position_embeddings: 163_840,
        n_routed_experts: 64,
        num_experts_per_tok: 6,
        moe_intermediate_size: 1408,
        n_shared_experts: 2,
        first_k_dense_replace: 1,
        kv_lora_rank: 512,
        qk_rope_head_dim: 64,
        qk_nope_head_dim: 128,
        v_head_dim: 128,
      },
      "BF16",
    );
    if (deepseek === null) throw new Error("it has no shape");
    const { mappedBytes, kvBytes } = estimateNeed(deepseek, LOAD).host;
    // 15.7 billion weights.
    expect(mappedBytes / 2e9).toBeCloseTo(15.7, 0);
    expect(kvBytes).toBe(27 * 4096 * 576 * 2);
  });

  test("is none where the class is not converted or sizes are missing", () => {
    expect(readConfigShape({ architectures: ["NobodysModel"], hidden_size: 1 }, "F16")).toBeNull();
    expect(readConfigShape({ architectures: ["LlamaForCausalLM"] }, "F16")).toBeNull();
    expect(readConfigShape({}, "F16")).toBeNull();
  });
});
