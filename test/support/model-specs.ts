// The models that tests and benchmarks build: what distinguishes each, and nothing of how it is written.

import type { MetadataValue, TensorType } from "./gguf-writer.ts";
import type { TokenizerName } from "./tokenizers.ts";

export interface ModelSpec {
  shape: "llama" | "qwen3" | "gemma3" | "mamba" | "lfm2" | "bert" | "hy_v3" | "mimo2";
  tokenizer: TokenizerName;
  /** What its metadata says otherwise; null takes an entry out. */
  tokenizerChanges?: Readonly<Record<string, MetadataValue | null>>;
  layers: number;
  width: number;
  heads: number;
  kvHeads: number;
  headSize: number;
  feedForward: number;
  contextLength: number;
  seed: number;
  weights: TensorType;
  /** The output is tied to them. */
  embeddings: TensorType;
  /** Of half of the value and down projections, in the layers that llama.cpp's `Q4_K_M` mix picks. */
  finerWeights?: TensorType;
  /** How much attention weighs beside the feed-forward; less means less rounding noise. */
  attentionGain?: number;
  /** What a layer adds, against the token embedding. Default 1.5: with less, a tied output repeats the last token. */
  branchGain?: number;
  /** A prediction layer (MTP) after the others. */
  head?: HeadSpec;
  /** Encoders only. */
  pooling?: "mean" | "cls" | "rank";
  /** Rerankers only; `{query}` and `{document}` stand for the two. */
  rerankTemplate?: string;
  /** Gemma and MiMo only, in tokens; every second layer sees no further. */
  slidingWindow?: number;
  /** Instead of ChatML. */
  chatTemplate?: string;
  /**
   * Fills each tensor of these with one repeated block: quick to write, of no use for what it says. Repeated embeddings
   * make many tokens equally likely, and then servers differ by how they choose among those.
   */
  repeated?: "layers" | "all";
}

export interface HeadSpec {
  /** How much of the token's embedding, and of the hidden row, it passes on as they are. */
  token: number;
  hidden: number;
  /** How much a random mixture of that and of the hidden row weighs. */
  mixture: number;
  /** What its attention and its feed-forward add. */
  branchGain: number;
  /** The file only says that there is one. */
  isElsewhere?: boolean;
}

const SMALL = {
  layers: 3,
  width: 64,
  heads: 4,
  kvHeads: 2,
  headSize: 32,
  feedForward: 160,
  contextLength: 4096,
  seed: 20_240_607,
  // Quantised weights round activations to 8 bits, which makes near-ties a hundred times as frequent.
  weights: "F32",
  embeddings: "F16",
} as const;

export const LLAMA_SPEC: ModelSpec = { ...SMALL, shape: "llama", tokenizer: "llama-bpe" };
export const QWEN3_SPEC: ModelSpec = { ...SMALL, shape: "qwen3", tokenizer: "qwen2" };
/** The window is shorter than the longer test prompts, so that it matters; narrow, for 262144 tokens. */
export const GEMMA_SPEC: ModelSpec = { ...SMALL, shape: "gemma3", tokenizer: "gemma-4", width: 48, slidingWindow: 24 };

/** Like Qwen3, with a prediction layer of random weights, which is never right. */
export const HEAD_SPEC: ModelSpec = {
  ...SMALL,
  shape: "hy_v3",
  tokenizer: "llama-spm",
  head: { token: 0, hidden: 0, mixture: 1, branchGain: 1.5 },
};
/** Its layers say so little beside the last token, and an output of its own follows, that the prediction layer is often right. */
export const RIGHT_HEAD_SPEC: ModelSpec = {
  ...HEAD_SPEC,
  branchGain: 0.02,
  head: { token: 1, hidden: 0, mixture: 0.01, branchGain: 0.01 },
};
/** Sliding windows, also in the prediction layer; its hidden rows are those before the last norm. */
export const SLIDING_HEAD_SPEC: ModelSpec = { ...HEAD_SPEC, shape: "mimo2", slidingWindow: 24 };
/** Its prediction layer passes on the hidden row, so it guesses the token that the model itself chose after that. */
export const ECHO_HEAD_SPEC: ModelSpec = {
  ...HEAD_SPEC,
  head: { token: 0, hidden: 1, mixture: 0, branchGain: 0 },
};

/** Recurrent: no attention at all. */
export const MAMBA_SPEC: ModelSpec = { ...SMALL, shape: "mamba", tokenizer: "llama-spm" };
/** Hybrid: every second layer attends, the others remember a few tokens. */
export const LFM2_SPEC: ModelSpec = { ...SMALL, shape: "lfm2", tokenizer: "llama-spm", layers: 4, headSize: 16 };

const ENCODER = {
  ...SMALL,
  shape: "bert",
  tokenizer: "bert-bge",
  kvHeads: 4,
  headSize: 16,
  contextLength: 512,
  attentionGain: 0.1,
} as const;
export const BERT_MEAN_SPEC: ModelSpec = { ...ENCODER, pooling: "mean" };
export const BERT_CLS_SPEC: ModelSpec = { ...ENCODER, pooling: "cls" };
export const BERT_RANK_SPEC: ModelSpec = { ...ENCODER, pooling: "rank" };

/** A generative model whose embeddings are compared: as wide and as quiet. */
export const WIDE_SPEC: ModelSpec = {
  ...SMALL,
  shape: "llama",
  tokenizer: "llama-spm",
  layers: 2,
  width: 256,
  headSize: 64,
  attentionGain: 0.05,
};

/** The smallest generative model: for tests that need any real engine, quickly. */
export const TINY_SPEC: ModelSpec = { ...SMALL, shape: "llama", tokenizer: "llama-spm", layers: 2 };

/** Qwen3-0.6B's own shape; `sizedSpec(...)` picks the types for the size wanted. */
export function sizedSpec(weights: TensorType, embeddings: TensorType): ModelSpec {
  return {
    shape: "qwen3",
    tokenizer: "qwen2",
    layers: 28,
    width: 1024,
    heads: 16,
    kvHeads: 8,
    headSize: 128,
    feedForward: 3072,
    contextLength: 40_960,
    seed: 6,
    weights,
    embeddings,
    repeated: "all",
  };
}

/** About 410 MB: the model of the start-up benchmark. */
export const SIZED_400_MB_SPEC: ModelSpec = sizedSpec("Q4_0", "Q8_0");

/** About 400 MB, in the types of a Q4_K_M file: the model of the comparison with llama-server. */
export const BENCH_SPEC: ModelSpec = { ...sizedSpec("Q4_K", "Q6_K"), finerWeights: "Q6_K", repeated: "layers" };

/** It wants a token at the beginning of each text, and llama.cpp knows none for its kind of vocabulary. */
export const UNMARKED_SPEC: ModelSpec = {
  ...TINY_SPEC,
  tokenizer: "refact",
  tokenizerChanges: {
    "tokenizer.ggml.pre": { type: "string", value: "glm4" },
    "tokenizer.ggml.bos_token_id": null,
    "tokenizer.ggml.add_bos_token": { type: "bool", value: true },
  },
};
