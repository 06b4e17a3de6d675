// The sizes of models that people run, as far as they decide how much memory a load takes.

import type { TensorType } from "./gguf-writer.ts";
import type { TokenizerName } from "./tokenizers.ts";

export interface LargeShape {
  name: string;
  architecture: string;
  tokenizer: TokenizerName;
  layers: number;
  width: number;
  heads: number;
  kvHeads: number;
  headSize: number;
  feedForward: number;
  trained: number;
  weights: TensorType;
  output?: TensorType;
  experts?: { count: number; used: number; feedForward: number; shared?: number; denseLayers?: number };
  /** Every so many layers one sees all, the others so many tokens. */
  window?: { tokens: number; period: number };
  state?: { inner: number; size: number; groups?: number; rank: number; conv: number };
  /** Latent attention (deepseek2). */
  latent?: { keyValue: number; rope: number; query?: number };
  /** Hybrid (lfm2): layers that attend. */
  attends?: (layer: number) => boolean;
  /** Of heads as well (qwen3, gemma3). */
  normsHeads?: boolean;
}

const Q4 = { weights: "Q4_K", output: "Q6_K" } as const;

export const LARGE_SHAPES: readonly LargeShape[] = [
  {
    name: "llama-7b",
    architecture: "llama",
    tokenizer: "llama-spm",
    layers: 32,
    width: 4096,
    heads: 32,
    kvHeads: 32,
    headSize: 128,
    feedForward: 11_008,
    trained: 4096,
    ...Q4,
  },
  {
    name: "llama-8b",
    architecture: "llama",
    tokenizer: "llama-bpe",
    layers: 32,
    width: 4096,
    heads: 32,
    kvHeads: 8,
    headSize: 128,
    feedForward: 14_336,
    trained: 131_072,
    ...Q4,
  },
  {
    name: "llama-70b",
    architecture: "llama",
    tokenizer: "llama-bpe",
    layers: 80,
    width: 8192,
    heads: 64,
    kvHeads: 8,
    headSize: 128,
    feedForward: 28_672,
    trained: 131_072,
    ...Q4,
  },
  {
    name: "qwen3-4b",
    architecture: "qwen3",
    tokenizer: "qwen2",
    layers: 36,
    width: 2560,
    heads: 32,
    kvHeads: 8,
    headSize: 128,
    feedForward: 9728,
    trained: 40_960,
    normsHeads: true,
    weights: "Q8_0",
  },
  {
    name: "qwen3-30b-a3b",
    architecture: "qwen3moe",
    tokenizer: "qwen2",
    layers: 48,
    width: 2048,
    heads: 32,
    kvHeads: 4,
    headSize: 128,
    feedForward: 6144,
    trained: 40_960,
    normsHeads: true,
    experts: { count: 128, used: 8, feedForward: 768 },
    ...Q4,
  },
  {
    name: "gemma3-4b",
    architecture: "gemma3",
    tokenizer: "gemma-4",
    layers: 34,
    width: 2560,
    heads: 8,
    kvHeads: 4,
    headSize: 256,
    feedForward: 10_240,
    trained: 131_072,
    normsHeads: true,
    window: { tokens: 1024, period: 6 },
    weights: "Q4_0",
    output: "Q6_K",
  },
  {
    name: "mamba-2.8b",
    architecture: "mamba",
    tokenizer: "llama-spm",
    layers: 64,
    width: 2560,
    heads: 0,
    kvHeads: 0,
    headSize: 0,
    feedForward: 0,
    trained: 1_048_576,
    state: { inner: 5120, size: 16, rank: 160, conv: 4 },
    weights: "Q8_0",
  },
  {
    name: "lfm2-1.2b",
    architecture: "lfm2",
    tokenizer: "llama-spm",
    layers: 16,
    width: 2048,
    heads: 32,
    kvHeads: 8,
    headSize: 64,
    feedForward: 8192,
    trained: 128_000,
    normsHeads: true,
    attends: (layer) => layer % 3 === 2,
    weights: "Q8_0",
  },
  {
    name: "deepseek2-lite",
    architecture: "deepseek2",
    tokenizer: "deepseek-llm",
    layers: 27,
    width: 2048,
    heads: 16,
    kvHeads: 16,
    headSize: 128,
    feedForward: 10_944,
    trained: 163_840,
    latent: { keyValue: 512, rope: 64 },
    experts: { count: 64, used: 6, feedForward: 1408, shared: 1408, denseLayers: 1 },
    weights: "Q8_0",
  },
];

/** Small enough to be run: its weights are all zero, and so is what it says. */
export const SMALL_EXPERTS: LargeShape = {
  name: "small-experts",
  architecture: "qwen3moe",
  tokenizer: "llama-spm",
  layers: 4,
  width: 256,
  heads: 4,
  kvHeads: 2,
  headSize: 64,
  feedForward: 512,
  trained: 8192,
  normsHeads: true,
  experts: { count: 32, used: 4, feedForward: 256 },
  weights: "Q4_0",
};
