// Headers that lie: what no model can have is told as no shape, so that nobody plans with it, and at no cost.

import { expect, test } from "bun:test";
import { readConfigShape } from "../../../src/models/memory/shape-from-config.ts";
import { readShape } from "../../../src/models/memory/shape-from-gguf.ts";

const read = (changes: Record<string, number>) => {
  const numbers = { block_count: 2, embedding_length: 64, "attention.head_count": 4, ...changes };
  const pairs = Object.entries(numbers).map(([key, value]): [string, number] => [`llama.${key}`, value]);
  const embedding = { name: "token_embd.weight", dims: [64, 100], type: "F16", offset: 0, bytes: 12_800 };
  return readShape([
    { metadata: new Map([["general.architecture", "llama" as never], ...pairs]), tensors: [embedding] },
  ]);
};

test("a header within what there can be has a shape", () => {
  expect(read({})?.layers).toHaveLength(2);
  expect(read({ block_count: 512, "attention.head_count_kv": 4 })?.layers).toHaveLength(512);
});

test.each([
  { block_count: 0xffff_ffff },
  { block_count: 513 },
  { block_count: 0 },
  { block_count: -1 },
  { block_count: 2.5 },
  { block_count: Number.NaN },
  { embedding_length: 0 },
  { embedding_length: 0x7fff_ffff },
  { "attention.head_count_kv": 0xffff_ffff },
])("one that says %j has none", (changes) => {
  expect(read(changes)).toBeNull();
});

test("a config.json with more layers than llama.cpp can have has none", () => {
  const config = (layers: number) => ({
    architectures: ["LlamaForCausalLM"],
    hidden_size: 64,
    num_attention_heads: 4,
    num_hidden_layers: layers,
    vocab_size: 100,
  });
  expect(readConfigShape(config(2), "F16")?.layers).toHaveLength(2);
  expect(readConfigShape(config(1e9), "F16")).toBeNull();
});
