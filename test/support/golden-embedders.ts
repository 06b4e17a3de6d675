// The encoders among the folders of golden-folders.ts.

import { GEMMA_FILES } from "./golden-families.ts";
import type { GoldenFolder } from "./golden-folders.ts";
import { makeEmbeddingGemma, writeEmbeddingGemma } from "./tiny-embedding-gemma.ts";
import { TINY_ENCODERS } from "./tiny-encoder-models.ts";
import { writeEncoderFolder } from "./tiny-encoders.ts";

const folder = (name: string, outTypes: GoldenFolder["outTypes"], adds: readonly string[] = []): GoldenFolder => ({
  name: `tiny-${name}`,
  outTypes,
  adds,
  write: (path) => {
    const found = TINY_ENCODERS[name];
    if (found === undefined) throw new Error(`there is no tiny encoder ${name}`);
    writeEncoderFolder(path, found.model, found.files);
  },
});

/** What the script writes only where a tokenizer.json is there. */
const FRAME_OF_PIECES: readonly string[] = [
  ...["bos_token_id", "eos_token_id", "unknown_token_id", "seperator_token_id"],
  ...["add_bos_token", "add_eos_token", "add_sep_token"],
].map((key) => `tokenizer.ggml.${key}`);

export const EMBEDDERS: readonly GoldenFolder[] = [
  folder("bert-mean", ["f32", "f16", "q8_0"]),
  folder("bert-cls", ["bf16"]),
  folder("bert-masked", ["f32"]),
  folder("distilbert", ["f32"]),
  folder("distilbert-masked", ["f16"]),
  folder("roberta", ["f32"]),
  folder("xlm-roberta", ["f32", "f16"]),
  folder("xlm-roberta-reranker", ["f16"], [...FRAME_OF_PIECES, "bert.pooling_type"]),
  folder("nomic", ["f32"]),
  {
    name: "tiny-embedding-gemma",
    // The script keeps the layers of the first one it reads.
    outTypes: ["f32"],
    write: (path) => writeEmbeddingGemma(path, makeEmbeddingGemma(), GEMMA_FILES),
  },
  folder("modern", ["f16"]),
  folder("modern-reranker", ["f32"], ["modern-bert.pooling_type"]),
];
