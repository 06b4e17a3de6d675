// Fixtures of the corpus: Llamas in the layout of their makers, and MLX's archives of NumPy arrays.

import { npyOf } from "../support/own-layout-folders.ts";
import type { TensorToWrite } from "../support/safetensors-writer.ts";
import { writeSafetensors } from "../support/safetensors-writer.ts";
import { type StoredTensor, zipOf } from "../support/torch-folders.ts";
import { writeZip } from "../support/zip-writer.ts";
import type { Expected, Fixture } from "./corpus-fixture.ts";
import { TOKENIZER_FILES } from "./corpus-hugging-face.ts";

const half = (name: string, shape: number[]): TensorToWrite => ({
  name,
  shape,
  dtype: "F16",
  data: new Uint8Array(shape.reduce((product, size) => product * size, 2)).fill(1),
});
const tensors = (layers = 1): TensorToWrite[] => [
  half("tok_embeddings.weight", [4, 8]),
  ...Array.from({ length: layers }, (_, layer) => half(`layers.${layer}.attention.wq.weight`, [8, 8])),
  half("norm.weight", [8]),
];
const params = (more: Record<string, unknown> = {}): Uint8Array =>
  new TextEncoder().encode(JSON.stringify({ dim: 8, n_layers: 1, n_heads: 2, norm_eps: 1e-5, ...more }));
const stored = (list: readonly TensorToWrite[]): StoredTensor[] =>
  list.map((tensor, key) => ({ ...tensor, shape: [...tensor.shape], key: String(key), storageClass: "HalfStorage" }));
const archive = (list: readonly TensorToWrite[], deflate = false): Uint8Array =>
  writeZip(list.map((tensor) => ({ name: `${tensor.name}.npy`, data: npyOf(tensor), deflate })));

const CONVERTED = {
  verdict: "convertible" as const,
  architecture: "LlamaForCausalLM",
  contextLength: 4096,
  quantization: "F16",
  command: "ml-offload convert /m",
};
const fixture = (name: string, files: Record<string, Uint8Array>, expected: Expected): Fixture => ({
  name,
  path: "/m",
  files: { ...TOKENIZER_FILES, ...files },
  expected,
});

const META = { "/m/params.json": params() };
const MLX = { "/m/config.json": params({ model_type: "llama" }) };
const CHECKPOINT = zipOf(stored(tensors()));

export const OWN_LAYOUT_FIXTURES: readonly Fixture[] = [
  fixture(
    "Meta's own checkpoint",
    { ...META, "/m/consolidated.00.pth": CHECKPOINT },
    { format: "pytorch", ...CONVERTED, parameterCount: 104 },
  ),
  fixture(
    "Meta's own checkpoint in two files",
    {
      "/m/params.json": params({ dim: 16 }),
      "/m/consolidated.00.pth": CHECKPOINT,
      "/m/consolidated.01.pth": CHECKPOINT,
    },
    { format: "pytorch", variant: "sharded", ...CONVERTED },
  ),
  fixture(
    "Meta's own checkpoint without params.json",
    { "/m/consolidated.00.pth": CHECKPOINT },
    { format: "pytorch", verdict: "unsupported", missing: "config.json" },
  ),
  fixture(
    "Meta's own checkpoint with experts",
    { "/m/params.json": params({ moe: { num_experts: 8 } }), "/m/consolidated.00.pth": CHECKPOINT },
    { format: "pytorch", verdict: "unsupported" },
  ),
  fixture(
    "Meta's own checkpoint that lacks a layer",
    { "/m/params.json": params({ n_layers: 2 }), "/m/consolidated.00.pth": CHECKPOINT },
    { format: "pytorch", verdict: "damaged", missing: "the tensors of layer 1" },
  ),
  fixture(
    "Mistral's own SafeTensors",
    { ...META, "/m/consolidated.safetensors": writeSafetensors(tensors()) },
    { format: "safetensors", ...CONVERTED, parameterCount: 104 },
  ),
  fixture(
    "MLX's archive of a Llama",
    { ...MLX, "/m/weights.npz": archive(tensors()) },
    { format: "npz", variant: "mlx", ...CONVERTED, parameterCount: 104 },
  ),
  fixture(
    "MLX's archive in two files",
    {
      "/m/config.json": params({ n_layers: 2 }),
      "/m/weights.00.npz": archive(tensors(2).slice(0, 2)),
      "/m/weights.01.npz": archive(tensors(2).slice(2)),
    },
    { format: "npz", variant: "mlx", ...CONVERTED, parameterCount: 168 },
  ),
  fixture(
    "MLX's archive, compressed",
    { ...MLX, "/m/weights.npz": archive(tensors(), true) },
    { format: "npz", variant: "mlx", verdict: "unsupported" },
  ),
];
