// The folders that llama.cpp's converter made goldens of: written anew by tests and by test/golden/write-folders.ts, the
// same each time. Change them only together with test/golden/*.jsonl.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { OutType } from "../../src/convert/out-types.ts";
import { EMBEDDERS } from "./golden-embedders.ts";
import { EXPERT_CONVERSIONS } from "./golden-experts.ts";
import { FAMILIES } from "./golden-families.ts";
import { LAYER_NORM_CONVERSIONS } from "./golden-layer-norms.ts";
import { RERANKER_CONVERSIONS } from "./golden-rerankers.ts";
import { CHAT_TEMPLATE, tinyPieces, tinyTokenizer, toSentencePieceModel } from "./hf-tokenizers.ts";
import { PACKED_MODELS, type PackedModel, writePackedFolder } from "./packed-folders.ts";
import { ATTENTION_LORA, type PeftSpec, writeBase, writePeftFolder } from "./peft-folders.ts";
import { TINY, type TinyDecoder, writeTinyFolder } from "./tiny-decoders.ts";
import { TINY_MODELS } from "./tiny-models.ts";
import { plainTensors, viewTensors, writeFolderOnly, writeTorchParts, zipOf } from "./torch-folders.ts";

export interface GoldenFolder {
  /** The folder's own name, which becomes the model's. */
  name: string;
  outTypes: readonly OutType[];
  /** Keys that we write at another place. */
  elsewhere?: readonly string[];
  /** Keys that llama.cpp's converter does not write, on purpose. */
  adds?: readonly string[];
  write: (folder: string) => void;
}

const CARD = `---
license: apache-2.0
license_link: https://example.org/LICENSE
language:
- en
- no
tags:
- tiny
- random
pipeline_tag: text-generation
base_model: some-org/Base-7B-v0.1
datasets:
- one/data-set
- https://huggingface.co/datasets-org/More-Data
---

# A model of random numbers
`;

const fromJson = (name: string, model: TinyDecoder, outTypes: readonly OutType[] = ["f32"]): GoldenFolder => ({
  name,
  outTypes,
  write: (folder) => writeTinyFolder(folder, model, tinyTokenizer()),
});

const CONVERSIONS: readonly GoldenFolder[] = [
  ...Object.entries(TINY_MODELS).map(([name, model]) => fromJson(`tiny-${name}`, model)),
  fromJson("halves", TINY, ["f16"]),
  fromJson("halves-as-they-are", { ...TINY, dtype: "F16" }, ["f16", "bf16"]),
  fromJson("Tiny-Quantised-v1.2-Instruct", { ...TINY, dtype: "BF16" }, ["f32", "f16", "bf16", "q8_0"]),
  fromJson("odd-rows", { ...TINY, width: 48, heads: 3, keyValueHeads: 1, inner: 80 }, ["q8_0"]),
  {
    name: "pieces-135M-chat",
    outTypes: ["f16"],
    write: (folder) => {
      writeTinyFolder(folder, TINY, {
        "tokenizer.model": toSentencePieceModel(tinyPieces()),
        "added_tokens.json": { "<extra>": 290 },
        "tokenizer_config.json": {
          tokenizer_class: "LlamaTokenizer",
          bos_token: "<s>",
          eos_token: "</s>",
          add_bos_token: true,
          add_eos_token: false,
          add_prefix_space: false,
          added_tokens_decoder: {
            "1": { content: "<s>", special: true },
            "291": { content: "<|im_start|>", special: false },
            "292": { content: "a▁word", special: false },
          },
          chat_template: CHAT_TEMPLATE,
        },
      });
      writeFileSync(join(folder, "README.md"), CARD);
    },
  },
];

const torch = (name: string, write: (folder: string) => void): GoldenFolder => ({
  name,
  outTypes: ["f16"],
  write: (folder) => {
    writeFolderOnly(folder, TINY);
    write(folder);
  },
});

const packed = (name: string, outTypes: readonly OutType[] = ["f32"]): GoldenFolder => ({
  name: `packed-${name}`,
  outTypes,
  write: (folder) => writePackedFolder(folder, PACKED_MODELS[name] as PackedModel),
});

/** What weights are read from besides SafeTensors, and how they may be packed in them. */
const SOURCES: readonly GoldenFolder[] = [
  torch("torch-archive", (folder) => writeFileSync(join(folder, "pytorch_model.bin"), zipOf(plainTensors(TINY)))),
  torch("torch-views", (folder) => writeFileSync(join(folder, "pytorch_model.bin"), zipOf(viewTensors(TINY)))),
  torch("torch-parts", (folder) => writeTorchParts(folder, plainTensors(TINY), 3)),
  packed("gptq-2"),
  packed("gptq-4-act-order", ["f32", "f16", "q8_0"]),
  packed("gptq-8-act-order"),
  packed("gptq-v2-8"),
  packed("fp8-block", ["f32", "bf16"]),
  packed("fp8-ragged-block"),
  packed("fp8-modelopt"),
  packed("fp8-rows"),
  packed("int8-rows"),
  packed("packed-4", ["f32", "f16"]),
  packed("packed-4-zeros"),
  packed("packed-8"),
];

/** The goldens of a group lie in test/golden/GROUP.jsonl. */
export const GOLDEN_GROUPS: Readonly<Record<string, readonly GoldenFolder[]>> = {
  conversions: CONVERSIONS,
  experts: EXPERT_CONVERSIONS,
  "layer-norms": LAYER_NORM_CONVERSIONS,
  rerankers: RERANKER_CONVERSIONS,
  families: FAMILIES,
  embedders: EMBEDDERS,
  sources: SOURCES,
};

export interface AdapterGolden extends GoldenFolder {
  /** Writes the adapter, and its base under the same name with `-base` behind it. */
  write: (folder: string) => void;
}

const adapter = (
  name: string,
  model: TinyDecoder,
  spec: PeftSpec,
  outTypes: readonly OutType[] = ["f32"],
): AdapterGolden => ({
  name,
  outTypes,
  write: (folder) => {
    writeBase(`${folder}-base`, model);
    writePeftFolder(folder, model, spec);
  },
});

const WIDE_LORA: PeftSpec = { ranks: (path) => (/_proj$|lm_head$|embed_tokens$/.test(path) ? 4 : null), alpha: 8 };

/** In test/golden/adapters.jsonl. */
export const ADAPTER_GOLDENS: readonly AdapterGolden[] = [
  adapter("lora-llama", TINY, WIDE_LORA, ["f32", "f16"]),
  adapter("lora-llama-pickled", TINY, { ...ATTENTION_LORA, isPickle: true, alpha: 3 }),
  adapter("lora-qwen3", { ...TINY, architecture: "Qwen3ForCausalLM", headLength: 32 }, WIDE_LORA),
];
