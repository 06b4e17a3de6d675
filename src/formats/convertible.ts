// Which models `ml-offload convert` takes: the converter and the detector share these tables, so that guidance names the
// command only where it works.

import { OWN_LAYOUT_FILE } from "./meta/own-layout.ts";

export interface ConvertibleArchitecture {
  /** llama.cpp's name of it. */
  gguf: string;
}

/** By the class in `architectures` of config.json. */
export const CONVERTIBLE_ARCHITECTURES: ReadonlyMap<string, ConvertibleArchitecture> = new Map([
  ["LlamaForCausalLM", { gguf: "llama" }],
  ["LLaMAForCausalLM", { gguf: "llama" }],
  ["LlamaModel", { gguf: "llama" }],
  ["MistralForCausalLM", { gguf: "llama" }],
  ["MixtralForCausalLM", { gguf: "llama" }],
  ["Qwen2ForCausalLM", { gguf: "qwen2" }],
  ["Qwen2Model", { gguf: "qwen2" }],
  ["Qwen2MoeForCausalLM", { gguf: "qwen2moe" }],
  ["Qwen3ForCausalLM", { gguf: "qwen3" }],
  ["Qwen3Model", { gguf: "qwen3" }],
  ["Qwen3MoeForCausalLM", { gguf: "qwen3moe" }],
  ["GPT2LMHeadModel", { gguf: "gpt2" }],
  ["Starcoder2ForCausalLM", { gguf: "starcoder2" }],
  ["GPTNeoXForCausalLM", { gguf: "gptneox" }],
  ["GptOssForCausalLM", { gguf: "gpt-oss" }],
  ["Gemma2ForCausalLM", { gguf: "gemma2" }],
  ["Gemma3ForCausalLM", { gguf: "gemma3" }],
  ["Gemma3ForConditionalGeneration", { gguf: "gemma3" }],
  ["Gemma3TextModel", { gguf: "gemma-embedding" }],
  ["Phi3ForCausalLM", { gguf: "phi3" }],
  ["Olmo2ForCausalLM", { gguf: "olmo2" }],
  ["Olmo3ForCausalLM", { gguf: "olmo2" }],
  ["GraniteForCausalLM", { gguf: "granite" }],
  ["GraniteMoeForCausalLM", { gguf: "granitemoe" }],
  ["GraniteMoeSharedForCausalLM", { gguf: "granitemoe" }],
  ["DeepseekV2ForCausalLM", { gguf: "deepseek2" }],
  ["DeepseekV3ForCausalLM", { gguf: "deepseek2" }],
  ["BertModel", { gguf: "bert" }],
  ["BertForMaskedLM", { gguf: "bert" }],
  ["BertForSequenceClassification", { gguf: "bert" }],
  ["DistilBertModel", { gguf: "bert" }],
  ["DistilBertForMaskedLM", { gguf: "bert" }],
  ["RobertaModel", { gguf: "bert" }],
  ["RobertaForMaskedLM", { gguf: "bert" }],
  ["RobertaForSequenceClassification", { gguf: "bert" }],
  ["XLMRobertaModel", { gguf: "bert" }],
  ["XLMRobertaForMaskedLM", { gguf: "bert" }],
  ["XLMRobertaForSequenceClassification", { gguf: "bert" }],
  ["NomicBertModel", { gguf: "nomic-bert" }],
  ["ModernBertModel", { gguf: "modern-bert" }],
  ["ModernBertForMaskedLM", { gguf: "modern-bert" }],
  ["ModernBertForSequenceClassification", { gguf: "modern-bert" }],
]);

/**
 * Masks and frequencies that older versions of transformers saved with the weights: whoever runs the model computes them
 * anew.
 */
export const COMPUTED_TENSORS = /\.(attention|attn)\.(bias|masked_bias)$|\.rotary_emb\.inv_freq$/;

/** Element types of weights that are carried over as they are. */
export const EXACT_DTYPES: ReadonlySet<string> = new Set(["F16", "BF16"]);

/** Those that are rounded to 16 bits unless something else is asked for. */
export const ROUNDED_DTYPES: ReadonlySet<string> = new Set(["F32"]);

/** Whether the converter looks for files of this name. */
export function isConvertibleFile(name: string): boolean {
  return CONVERTIBLE_FILE.test(name) || OWN_LAYOUT_FILE.test(name);
}

const CONVERTIBLE_FILE = /^model.*\.safetensors$|^pytorch_model.*\.bin$|^model\.bin$|^(pytorch_)?model\.(pt|pth)$/;

/** Ways of packing weights that the converter unpacks, and the bits that it knows of each; null: they have one kind. */
const UNPACKED_METHODS: ReadonlyMap<string, readonly number[] | null> = new Map([
  ["gptq", [2, 3, 4, 8]],
  ["awq", [4]],
  ["fp8", null],
  ["mlx", [2, 3, 4, 5, 6, 8]],
  ["compressed-tensors", [2, 3, 4, 5, 6, 7, 8]],
  ["bitsandbytes", [4, 8]],
  ["nvfp4", null],
  ["mxfp4", [4]],
]);

export function isUnpacked(method: string, bits: number | null): boolean {
  const known = UNPACKED_METHODS.get(method);
  return known === null || (known !== undefined && bits !== null && known.includes(bits));
}

/** Tokenizers that the converter reads, by the file that they are in. */
export const CONVERTIBLE_TOKENIZERS: ReadonlySet<string> = new Set([
  "tokenizer.json",
  "tokenizer.model",
  "vocab.txt",
  "sentencepiece.bpe.model",
]);
