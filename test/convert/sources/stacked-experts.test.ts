// A stack of experts is read as its parts, by the names that transformers gives them.

import { expect, test } from "bun:test";
import { StackedExperts } from "../../../src/convert/sources/stacked-experts.ts";
import type { Weight, WeightSource } from "../../../src/convert/weights.ts";

function sourceOf(...weights: Weight[]): WeightSource {
  return {
    tensors: new Map(weights.map((weight) => [weight.name, weight])),
    read: (_, offset, target) => target.set(target.map((_byte, index) => offset + index)),
    [Symbol.dispose]: () => {},
  };
}

const weight = (name: string, shape: number[], dtype = "F16"): Weight => ({ name, shape, dtype });

test("each expert is its part of the stack", () => {
  const source = sourceOf(
    weight("model.layers.0.mlp.switch_mlp.down_proj.weight", [3, 2, 4]),
    weight("model.layers.1.block_sparse_moe.switch_mlp.up_proj.weight", [2, 1, 4], "F32"),
    weight("model.norm.weight", [4]),
  );
  const split = StackedExperts.split(source);
  expect([...split.tensors.keys()]).toEqual([
    "model.layers.0.mlp.experts.0.down_proj.weight",
    "model.layers.0.mlp.experts.1.down_proj.weight",
    "model.layers.0.mlp.experts.2.down_proj.weight",
    "model.layers.1.block_sparse_moe.experts.0.w3.weight",
    "model.layers.1.block_sparse_moe.experts.1.w3.weight",
    "model.norm.weight",
  ]);
  const third = split.tensors.get("model.layers.0.mlp.experts.2.down_proj.weight") as Weight;
  expect(third.shape).toEqual([2, 4]);
  const bytes = new Uint8Array(4);
  split.read(third, 8, bytes);
  expect([...bytes]).toEqual([40, 41, 42, 43]);
  const second = split.tensors.get("model.layers.1.block_sparse_moe.experts.1.w3.weight") as Weight;
  split.read(second, 0, bytes);
  expect([...bytes]).toEqual([16, 17, 18, 19]);
});

test("gates and ups that lie in one stack", () => {
  const source = sourceOf(
    weight("model.layers.0.mlp.experts.down_proj", [2, 3, 1], "BF16"),
    weight("model.layers.0.mlp.experts.gate_up_proj", [2, 4, 3]),
  );
  const split = StackedExperts.split(source);
  expect([...split.tensors.keys()]).toEqual([
    "model.layers.0.mlp.experts.0.down_proj.weight",
    "model.layers.0.mlp.experts.1.down_proj.weight",
    "model.layers.0.mlp.experts.0.gate_proj.weight",
    "model.layers.0.mlp.experts.0.up_proj.weight",
    "model.layers.0.mlp.experts.1.gate_proj.weight",
    "model.layers.0.mlp.experts.1.up_proj.weight",
  ]);
  const second = split.tensors.get("model.layers.0.mlp.experts.1.gate_proj.weight") as Weight;
  expect(second.shape).toEqual([2, 3]);
  const bytes = new Uint8Array(2);
  split.read(second, 6, bytes);
  // Behind the first expert's twelve numbers of two bytes.
  expect([...bytes]).toEqual([30, 31]);
});

test("a source without stacks, or with one of absurd sizes, stays what it is", () => {
  for (const one of [
    weight("model.norm.weight", [4]),
    weight("a.switch_mlp.up_proj.weight", [4, 4]),
    weight("a.switch_mlp.up_proj.weight", [1e9, 4, 4]),
    weight("a.switch_mlp.up_proj.weight", [2, 4, 4], "U32"),
    weight("a.experts.gate_up_proj", [2, 3, 4]),
    weight("a.experts.gate_up_proj", [0, 2, 4]),
  ]) {
    const source = sourceOf(one);
    expect(StackedExperts.split(source)).toBe(source);
  }
});
