// The corpus: SafeTensors alone, in shards, quantised in every way, with what lies beside them missing or lying.

import { joinSafetensors, type TensorToWrite, writeSafetensors } from "../support/safetensors-writer.ts";
import { cut, type Expected, encode, type Fixture, json } from "./corpus-fixture.ts";

const SIZES: Readonly<Record<string, number>> = {
  F64: 8,
  I64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
};

export function tensor(name: string, dtype: string, shape: readonly number[]): TensorToWrite {
  const elements = shape.reduce((a, b) => a * b, 1);
  return { name, dtype, shape, data: new Uint8Array(elements * (SIZES[dtype] ?? 1)).fill(1) };
}

const LAYERS = 2;
const encoderTensors = (layers: number): TensorToWrite[] => [
  tensor("bert.embeddings.word_embeddings.weight", "BF16", [4, 8]),
  tensor("bert.embeddings.position_ids", "I64", [1, 16]),
  ...Array.from({ length: layers }, (_, i) => tensor(`bert.encoder.layer.${i}.output.dense.weight`, "BF16", [8, 16])),
];
const layer = (index: number, dtype: string): TensorToWrite[] => [
  tensor(`model.layers.${index}.self_attn.q_proj.weight`, dtype, [8, 8]),
  tensor(`model.layers.${index}.mlp.up_proj.weight`, dtype, [16, 8]),
];
export const plainTensors = (dtype = "BF16"): TensorToWrite[] => [
  tensor("model.embed_tokens.weight", dtype, [4, 8]),
  ...Array.from({ length: LAYERS }, (_, index) => layer(index, dtype)).flat(),
  tensor("model.norm.weight", dtype, [8]),
];
const PARAMETERS = 4 * 8 + LAYERS * (64 + 128) + 8;

export const config = (more: Record<string, unknown> = {}): Uint8Array =>
  json({
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_size: 8,
    num_hidden_layers: LAYERS,
    max_position_embeddings: 2048,
    ...more,
  });

export const TOKENIZER_FILES: Readonly<Record<string, Uint8Array>> = {
  "/m/tokenizer.json": json({ model: { type: "BPE", vocab: { a: 0 }, merges: [] } }),
  "/m/tokenizer_config.json": json({ tokenizer_class: "LlamaTokenizer", chat_template: "{{ x }}" }),
};

/** As it is published: its own names of sizes, no prefix, and the attention's masks. */
const GPT2_CONFIG = {
  architectures: ["GPT2LMHeadModel"],
  model_type: "gpt2",
  n_embd: 8,
  n_layer: 2,
  n_positions: 1024,
};
const gpt2Tensors = (layers: number): TensorToWrite[] => [
  tensor("wte.weight", "BF16", [4, 8]),
  ...Array.from({ length: layers }, (_, index) => [
    tensor(`h.${index}.attn.c_attn.weight`, "BF16", [8, 24]),
    tensor(`h.${index}.attn.bias`, "U8", [1, 1, 4, 4]),
  ]).flat(),
];

const BESIDE = { "/m/config.json": config(), ...TOKENIZER_FILES };
const folder = (name: string, files: Record<string, Uint8Array>, expected: Expected, path = "/m"): Fixture => ({
  name,
  files,
  path,
  expected,
});

const whole = folder(
  "a SafeTensors model",
  { ...BESIDE, "/m/model.safetensors": writeSafetensors(plainTensors()) },
  {
    format: "safetensors",
    variant: "single",
    verdict: "convertible",
    architecture: "LlamaForCausalLM",
    parameterCount: PARAMETERS,
    quantization: "BF16",
    contextLength: 2048,
    tokenizer: "BPE (LlamaTokenizer)",
    hasChatTemplate: true,
    command: "ml-offload convert /m",
  },
);
const WEIGHTS = "/m/model.safetensors";
const changed = (name: string, files: Record<string, Uint8Array | null>, expected: Partial<Expected>): Fixture => {
  const all = Object.entries({ ...whole.files, ...files }).filter(
    (entry): entry is [string, Uint8Array] => entry[1] !== null,
  );
  return folder(name, Object.fromEntries(all), { format: "safetensors", verdict: "damaged", ...expected });
};

const encoder = {
  "/m/config.json": config({ architectures: ["BertModel"], model_type: "bert" }),
  [WEIGHTS]: writeSafetensors(encoderTensors(LAYERS)),
};
const shardNames = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;
const halves = [plainTensors().slice(0, 3), plainTensors().slice(3)];
const shardFiles = Object.fromEntries(
  shardNames.map((name, index) => [`/m/${name}`, writeSafetensors(halves[index] ?? [])]),
);
const weightMap = Object.fromEntries(
  halves.flatMap((half, index) => half.map(({ name }) => [name, shardNames[index]])),
);
const INDEX = "/m/model.safetensors.index.json";
const sharded = folder(
  "a sharded SafeTensors model",
  { ...BESIDE, ...shardFiles, [INDEX]: json({ metadata: {}, weight_map: weightMap }) },
  { format: "safetensors", variant: "sharded", verdict: "convertible", parameterCount: PARAMETERS },
);
const shardedBut = (name: string, files: Record<string, Uint8Array | null>, expected: Partial<Expected>): Fixture => {
  const all = Object.entries({ ...sharded.files, ...files }).filter(
    (entry): entry is [string, Uint8Array] => entry[1] !== null,
  );
  return folder(name, Object.fromEntries(all), {
    format: "safetensors",
    variant: "sharded",
    verdict: "damaged",
    ...expected,
  });
};

/** A folder whose weights are kept in some package's way. */
function quantized(
  name: string,
  variant: string,
  tensors: readonly TensorToWrite[],
  quantization: Record<string, unknown> | null,
  expected: Partial<Expected> = {},
): Fixture {
  const files = { ...BESIDE, "/m/config.json": config(quantization ?? {}), [WEIGHTS]: writeSafetensors(tensors) };
  return folder(name, files, {
    format: "safetensors",
    variant,
    verdict: "unsupported",
    reason: "quantised",
    ...expected,
  });
}
/** Of a model that is whole: what stands beside its packed weights. */
const PLAIN_REST = plainTensors().filter(({ name }) => !name.startsWith("model.layers.0."));
const REST_PARAMETERS = PLAIN_REST.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);

function unpacked(
  name: string,
  variant: string,
  tensors: readonly TensorToWrite[],
  settings: Record<string, unknown>,
  expected: Partial<Expected> & { parameterCount: number },
): Fixture {
  return quantized(name, variant, [...PLAIN_REST, ...tensors], settings, {
    verdict: "convertible-with-loss",
    reason: "unpacks the weights",
    command: "ml-offload convert /m",
    ...expected,
    parameterCount: expected.parameterCount + REST_PARAMETERS,
  });
}

const q = (suffix: string, dtype: string, shape: readonly number[]): TensorToWrite =>
  tensor(`model.layers.0.self_attn.q_proj.${suffix}`, dtype, shape);
const gptq = [
  q("qweight", "I32", [8, 16]),
  q("qzeros", "I32", [1, 2]),
  q("scales", "F16", [1, 16]),
  q("g_idx", "I32", [64]),
];
const awq = [q("qweight", "I32", [64, 2]), q("qzeros", "I32", [1, 2]), q("scales", "F16", [1, 16])];
const mlx = [q("weight", "U32", [8, 8]), q("scales", "F16", [8, 1]), q("biases", "F16", [8, 1])];

const LORA = writeSafetensors([tensor("base_model.model.layers.0.q_proj.lora_A.weight", "F32", [4, 8])]);
const adapterBut = (name: string, settings: Record<string, unknown> | null, expected: Partial<Expected>): Fixture =>
  folder(
    name,
    {
      "/m/adapter_model.safetensors": LORA,
      ...(settings === null ? {} : { "/m/adapter_config.json": json({ peft_type: "LORA", ...settings }) }),
    },
    { format: "safetensors", verdict: "unsupported", variant: "peft-adapter", ...expected },
  );
const ADAPTERS: readonly Fixture[] = [
  adapterBut(
    "a PEFT adapter",
    { base_model_name_or_path: "some/Base", modules_to_save: [], bias: "none" },
    { verdict: "convertible", command: "ml-offload convert /m --base BASE", reason: "adapter of some/Base" },
  ),
  adapterBut("a PEFT adapter alone", null, { missing: "adapter_config.json" }),
  adapterBut("a PEFT adapter with whole layers", { modules_to_save: ["lm_head"] }, { reason: "with modules_to_save" }),
  adapterBut("a DoRA", { use_dora: true }, { reason: "with use_dora" }),
  adapterBut("another PEFT adapter", { peft_type: "IA3" }, { reason: "of the type IA3" }),
];

const QUANTIZED: readonly Fixture[] = [
  unpacked(
    "GPTQ",
    "gptq",
    gptq,
    { quantization_config: { quant_method: "gptq", bits: 4 } },
    { parameterCount: 1024, quantization: "GPTQ 4-bit" },
  ),
  quantized("GPTQ that only its tensors tell", "gptq", gptq, null, { parameterCount: null, quantization: "GPTQ" }),
  unpacked("AWQ", "awq", awq, { quantization_config: { quant_method: "awq", bits: 4 } }, { parameterCount: 1024 }),
  unpacked(
    "MLX",
    "mlx",
    mlx,
    { quantization: { group_size: 64, bits: 4 } },
    { parameterCount: 512, quantization: "MLX 4-bit" },
  ),
  unpacked(
    "FP8",
    "fp8",
    [q("weight", "F8_E4M3", [8, 8]), q("weight_scale_inv", "F32", [1, 1])],
    { quantization_config: { quant_method: "fp8" } },
    { parameterCount: 64 },
  ),
  unpacked(
    "NVFP4 of modelopt",
    "nvfp4",
    [q("weight", "U8", [8, 4]), q("weight_scale", "F8_E4M3", [8, 1]), q("weight_scale_2", "F32", [])],
    { quantization_config: { quant_method: "modelopt", quant_algo: "NVFP4" } },
    { parameterCount: 64 },
  ),
  quantized("GPTQ for Marlin", "gptq marlin", gptq, {
    quantization_config: { quant_method: "gptq", bits: 4, checkpoint_format: "marlin" },
  }),
  quantized("GPTQ of 5 bits", "gptq", gptq, { quantization_config: { quant_method: "gptq", bits: 5 } }),
  quantized("AWQ for fast GEMV", "awq gemv_fast", awq, {
    quantization_config: { quant_method: "awq", bits: 4, version: "gemv_fast" },
  }),
  unpacked(
    "AWQ for GEMV",
    "awq",
    awq,
    { quantization_config: { quant_method: "awq", bits: 4, version: "GEMV" } },
    { parameterCount: 1024 },
  ),
  unpacked(
    "AutoRound in GPTQ's form",
    "gptq",
    gptq,
    { quantization_config: { quant_method: "auto-round", bits: 4, packing_format: "auto_round:auto_gptq" } },
    { parameterCount: 1024 },
  ),
  quantized("AutoRound in a form of its own", "auto-round", gptq, {
    quantization_config: { quant_method: "auto-round", bits: 4, packing_format: "auto_round:tritonv2" },
  }),
  quantized("MLX in MXFP4", "mlx mxfp4", mlx, { quantization: { group_size: 32, bits: 4, mode: "mxfp4" } }),
  quantized(
    "NVFP4",
    "nvfp4",
    [q("weight", "U8", [8, 4]), q("weight_scale", "F8_E4M3", [8, 1]), q("weight_scale_2", "F32", [])],
    null,
    { parameterCount: 64 },
  ),
  unpacked(
    "compressed-tensors",
    "compressed-tensors",
    [q("weight_packed", "I32", [8, 2]), q("weight_scale", "BF16", [8, 1]), q("weight_shape", "I64", [2])],
    {
      quantization_config: {
        quant_method: "compressed-tensors",
        format: "pack-quantized",
        config_groups: { group_0: { weights: { num_bits: 4 } } },
      },
    },
    { parameterCount: 128, quantization: "compressed-tensors 4-bit" },
  ),
  unpacked(
    "bitsandbytes",
    "bitsandbytes",
    [q("weight", "U8", [32, 1]), q("weight.absmax", "F32", [1]), q("weight.quant_state.bitsandbytes__nf4", "U8", [8])],
    {
      quantization_config: { quant_method: "bitsandbytes", load_in_4bit: true },
    },
    { parameterCount: 64 },
  ),
  quantized(
    "MXFP4",
    "mxfp4",
    [
      tensor("model.layers.0.mlp.experts.down_proj_blocks", "U8", [2, 16]),
      tensor("model.layers.0.mlp.experts.down_proj_scales", "U8", [2, 1]),
    ],
    {
      quantization_config: { quant_method: "mxfp4" },
    },
    { parameterCount: 64 },
  ),
];

const pointer = encode(`version https://git-lfs.github.com/spec/v1\noid sha256:${"a".repeat(64)}\nsize 4000000000\n`);

export const HUGGING_FACE_FIXTURES: readonly Fixture[] = [
  whole,
  { ...whole, name: "a SafeTensors model by its file", path: WEIGHTS },
  { ...whole, name: "a SafeTensors model by its config.json", path: "/m/config.json" },
  changed(
    "weights under an odd name",
    { [WEIGHTS]: null, "/m/weights.bin": writeSafetensors(plainTensors()) },
    { verdict: "unsupported", reason: "weights.bin" },
  ),
  changed(
    "F16 weights",
    { [WEIGHTS]: writeSafetensors(plainTensors("F16")) },
    { verdict: "convertible", quantization: "F16" },
  ),
  changed(
    "F32 weights",
    { [WEIGHTS]: writeSafetensors(plainTensors("F32")) },
    { verdict: "convertible-with-loss", quantization: "F32" },
  ),
  changed(
    "a vocabulary with merges.txt",
    { "/m/tokenizer.json": null, "/m/vocab.json": json({ a: 0 }), "/m/merges.txt": encode("a b") },
    { verdict: "unsupported", missing: "tokenizer.json" },
  ),
  changed(
    "F64 weights",
    { [WEIGHTS]: writeSafetensors(plainTensors("F64")) },
    { verdict: "unsupported", quantization: "F64" },
  ),
  changed(
    "Qwen3",
    { "/m/config.json": config({ architectures: ["Qwen3ForCausalLM"] }) },
    { verdict: "convertible", architecture: "Qwen3ForCausalLM" },
  ),
  changed(
    "Qwen3 without a head",
    {
      "/m/config.json": config({ architectures: ["Qwen3Model"] }),
      [WEIGHTS]: writeSafetensors(plainTensors().map((one) => ({ ...one, name: one.name.replace("model.", "") }))),
    },
    { verdict: "convertible" },
  ),
  ...["model.language_model.", "language_model.model."].map((prefix) =>
    changed(
      `Gemma 3 that sees images, its text part named ${prefix}`,
      {
        "/m/config.json": config({ architectures: ["Gemma3ForConditionalGeneration"] }),
        [WEIGHTS]: writeSafetensors([
          ...plainTensors().map((one) => ({ ...one, name: one.name.replace("model.", prefix) })),
          tensor("vision_tower.vision_model.encoder.layers.0.layer_norm1.weight", "BF16", [8]),
        ]),
      },
      { verdict: "convertible", architecture: "Gemma3ForConditionalGeneration" },
    ),
  ),
  changed(
    "GPT-2 with masks among its weights",
    { "/m/config.json": json(GPT2_CONFIG), [WEIGHTS]: writeSafetensors(gpt2Tensors(2)) },
    { verdict: "convertible", architecture: "GPT2LMHeadModel", contextLength: 1024 },
  ),
  changed(
    "GPT-2 without its last layer",
    { "/m/config.json": json(GPT2_CONFIG), [WEIGHTS]: writeSafetensors(gpt2Tensors(1)) },
    { verdict: "damaged", missing: "the tensors of layer 1" },
  ),
  changed(
    "GPT-NeoX",
    {
      "/m/config.json": config({ architectures: ["GPTNeoXForCausalLM"] }),
      [WEIGHTS]: writeSafetensors([
        tensor("gpt_neox.embed_in.weight", "F16", [4, 8]),
        ...[0, 1].map((index) => tensor(`gpt_neox.layers.${index}.attention.dense.weight`, "F16", [8, 8])),
        tensor("gpt_neox.layers.0.attention.bias", "U8", [1, 1, 4, 4]),
        tensor("embed_out.weight", "F16", [4, 8]),
      ]),
    },
    { verdict: "convertible", quantization: "F16" },
  ),
  changed(
    "an architecture that is not converted",
    { "/m/config.json": config({ architectures: ["FooForCausalLM"] }) },
    { verdict: "unsupported", reason: "FooForCausalLM" },
  ),
  changed(
    "an architecture named like a method",
    { "/m/config.json": config({ architectures: ["constructor"] }) },
    { verdict: "unsupported" },
  ),
  changed(
    "no architecture",
    { "/m/config.json": config({ architectures: null, model_type: null }) },
    { verdict: "unsupported", missing: "architectures" },
  ),
  ...[0.1, 0.3, 0.5, 0.7, 0.9, 0.99].map((share) => cut(whole, WEIGHTS, share)),
  changed(
    "weights alone",
    { "/m/config.json": null, "/m/tokenizer.json": null, "/m/tokenizer_config.json": null },
    { verdict: "unsupported", missing: "config.json" },
  ),
  changed("a config.json that is cut", { "/m/config.json": config().slice(0, 20) }, { missing: "config.json" }),
  changed("a config.json that is a list", { "/m/config.json": json([1]) }, { missing: "config.json" }),
  changed("no tokenizer", { "/m/tokenizer.json": null }, { missing: "tokenizer.json" }),
  changed(
    "a tokenizer without merges",
    { "/m/tokenizer.json": json({ model: { type: "BPE", vocab: { a: 0 } } }) },
    { missing: "model.merges" },
  ),
  changed(
    "a tokenizer without a vocabulary",
    { "/m/tokenizer.json": json({ model: { type: "Unigram", vocab: [] } }) },
    { missing: "model.vocab" },
  ),
  changed("a tokenizer without a model", { "/m/tokenizer.json": json({ version: "1.0" }) }, { missing: "key model" }),
  changed(
    "a large tokenizer that is cut",
    { "/m/tokenizer.json": encode(`{"model":"${"x".repeat(100_000)}`) },
    { missing: "not whole JSON" },
  ),
  changed(
    "a large tokenizer that is whole",
    { "/m/tokenizer.json": encode(`{"model":"${"x".repeat(100_000)}"}`) },
    { verdict: "convertible" },
  ),
  changed("a tokenizer that is a pointer", { "/m/tokenizer.json": pointer }, { missing: "Git-LFS" }),
  changed(
    "a SentencePiece tokenizer",
    { "/m/tokenizer.json": null, "/m/tokenizer.model": encode("\n\x0epieces") },
    { verdict: "convertible", tokenizer: "SentencePiece (LlamaTokenizer)" },
  ),
  changed(
    "XLM-RoBERTa with SentencePiece's file",
    {
      ...encoder,
      "/m/config.json": config({ architectures: ["XLMRobertaModel"], model_type: "xlm-roberta" }),
      "/m/tokenizer.json": null,
      "/m/sentencepiece.bpe.model": encode("\n\x0epieces"),
    },
    { verdict: "convertible", tokenizer: "SentencePiece (LlamaTokenizer)" },
  ),
  changed(
    "a SentencePiece tokenizer that is a page",
    { "/m/tokenizer.json": null, "/m/tokenizer.model": encode("<html>") },
    { missing: "SentencePiece" },
  ),
  changed(
    "a vocabulary without merges.txt",
    { "/m/tokenizer.json": null, "/m/vocab.json": json({ a: 0 }) },
    { missing: "merges.txt" },
  ),
  changed(
    "a template in a file of its own",
    { "/m/tokenizer_config.json": null, "/m/chat_template.jinja": encode("{{ x }}") },
    { verdict: "convertible", hasChatTemplate: true },
  ),
  changed(
    "an encoder with its positions counted out",
    { ...encoder, "/m/tokenizer.json": null, "/m/vocab.txt": encode("[PAD]\n[UNK]\n") },
    { verdict: "convertible", tokenizer: "WordPiece (LlamaTokenizer)", architecture: "BertModel" },
  ),
  changed(
    "an encoder that lacks a layer",
    { ...encoder, [WEIGHTS]: writeSafetensors(encoderTensors(1)) },
    { missing: "layer 1" },
  ),
  changed("a layer too few", { "/m/config.json": config({ num_hidden_layers: 3 }) }, { missing: "layer 2" }),
  changed("a million layers", { "/m/config.json": config({ num_hidden_layers: 1_000_000 }) }, { missing: "layer 2" }),
  changed("another width", { "/m/config.json": config({ hidden_size: 16 }) }, { missing: "embeddings of 16" }),
  changed("no embeddings", { [WEIGHTS]: writeSafetensors(plainTensors().slice(1)) }, { missing: "embed_tokens" }),
  changed(
    "a header that claims 2^60 bytes",
    { [WEIGHTS]: joinSafetensors("{}", [], 2n ** 60n) },
    { format: "safetensors" },
  ),
  changed("a header that is not JSON", { [WEIGHTS]: joinSafetensors('{"a":', [new Uint8Array(4)]) }, {}),
  changed(
    "SafeTensors that overlap",
    {
      [WEIGHTS]: joinSafetensors(
        '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
        [new Uint8Array(4)],
      ),
    },
    { reason: "overlaps" },
  ),
  changed(
    "a dtype of the future",
    { [WEIGHTS]: joinSafetensors('{"a":{"dtype":"F3","shape":[4],"data_offsets":[0,4]}}', [new Uint8Array(4)]) },
    { verdict: "unsupported" },
  ),
  sharded,
  { ...sharded, name: "a sharded model by its index", path: INDEX },
  { ...sharded, name: "a sharded model by a shard", path: `/m/${shardNames[1]}` },
  shardedBut("shards without an index", { [INDEX]: null }, { verdict: "convertible" }),
  shardedBut("a shard is missing", { [`/m/${shardNames[1]}`]: null }, { missing: shardNames[1] }),
  shardedBut(
    "all shards are missing",
    { [`/m/${shardNames[0]}`]: null, [`/m/${shardNames[1]}`]: null },
    { missing: shardNames[0] },
  ),
  shardedBut(
    "a shard is missing and there is no index",
    { [INDEX]: null, [`/m/${shardNames[0]}`]: null },
    { missing: shardNames[0] },
  ),
  cut(sharded, `/m/${shardNames[0]}`, 0.8, { variant: "sharded", missing: shardNames[0] }),
  shardedBut(
    "an index that is cut",
    { [INDEX]: json({ weight_map: weightMap }).slice(0, 40) },
    { missing: "index.json" },
  ),
  shardedBut("an index without a map", { [INDEX]: json({}) }, { missing: "weight_map" }),
  shardedBut(
    "an index that leads outside",
    { [INDEX]: json({ weight_map: { a: "../../etc/passwd" } }) },
    { missing: "outside" },
  ),
  shardedBut(
    "an index of a tensor that no shard has",
    { [INDEX]: json({ weight_map: { ...weightMap, extra: shardNames[0] } }) },
    { missing: "extra" },
  ),
  shardedBut(
    "a tensor in two shards",
    { [`/m/${shardNames[1]}`]: writeSafetensors(plainTensors()) },
    { reason: "two of the files" },
  ),
  ...QUANTIZED,
  ...ADAPTERS,
  folder(
    "an image pipeline",
    { "/m/model_index.json": json({}), "/m/unet/diffusion_pytorch_model.safetensors": writeSafetensors([]) },
    { format: "safetensors", variant: "diffusers", verdict: "unsupported" },
  ),
  folder(
    "a folder without weights",
    { ...BESIDE },
    { format: "folder", variant: "no-weights", verdict: "damaged", missing: "weights" },
  ),
  folder("an empty list of files", { "/m/readme.md": encode("hello") }, { format: "folder", verdict: "unsupported" }),
  changed(
    "weights that are a pointer",
    { [WEIGHTS]: pointer },
    { format: "lfs-pointer", missing: "4000000000 bytes", command: "git -C /m lfs pull" },
  ),
  shardedBut(
    "shards of which one is a pointer",
    { [`/m/${shardNames[1]}`]: pointer },
    { format: "lfs-pointer", variant: null, missing: shardNames[1] },
  ),
  changed("a pointer of a format that is not needed", { "/m/pytorch_model.bin": pointer }, { verdict: "convertible" }),
  changed(
    "pointers of another format alone",
    { [WEIGHTS]: null, "/m/pytorch_model.bin": pointer },
    { format: "lfs-pointer", missing: "pytorch_model.bin" },
  ),
  changed(
    "weights that are a page",
    { [WEIGHTS]: encode("<!DOCTYPE html><title>Sign in</title>") },
    { format: "html", reason: "Sign in" },
  ),
  folder(
    "the Hugging Face cache",
    {
      "/c/models--a--b/refs/main": encode("abc"),
      "/c/models--a--b/blobs/x": encode("x"),
      ...Object.fromEntries(
        Object.entries(whole.files).map(([path, bytes]) => [
          path.replace("/m/", "/c/models--a--b/snapshots/abc/"),
          bytes,
        ]),
      ),
    },
    { format: "safetensors", verdict: "convertible", command: "ml-offload convert /c/models--a--b/snapshots/abc" },
    "/c/models--a--b",
  ),
];
