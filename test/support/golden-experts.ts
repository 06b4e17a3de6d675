// Folders of models with experts, for goldens.

import type { GoldenFolder } from "./golden-folders.ts";
import { tinyTokenizer } from "./hf-tokenizers.ts";
import { makePackedDeepseek, stackExperts, writePackedFamily } from "./packed-families.ts";
import { makeTensors, type TinyDecoder, writeTensors, writeTinyFolder } from "./tiny-decoders.ts";
import { makeGptOss, packGptOss } from "./tiny-gpt-oss.ts";
import { EXPERT_MODELS } from "./tiny-models.ts";

const modelOf = (name: string): TinyDecoder => EXPERT_MODELS[name] as TinyDecoder;

function writeStackedFolder(folder: string, model: TinyDecoder): void {
  writeTinyFolder(folder, { ...model, parts: 1 }, tinyTokenizer());
  writeTensors(folder, stackExperts(makeTensors(model)), model.dtype, 1);
}

const stacked = (name: string): GoldenFolder => ({
  name: `stacked-${name}`,
  outTypes: ["f16"],
  write: (folder) => writeStackedFolder(folder, modelOf(name)),
});

export const EXPERT_CONVERSIONS: readonly GoldenFolder[] = [
  ...Object.entries(EXPERT_MODELS).map(
    ([name, model]): GoldenFolder => ({
      name: `tiny-${name}`,
      outTypes: name.endsWith("-parts") ? ["f16", "bf16", "q8_0"] : ["f32"],
      write: (folder) => writeTinyFolder(folder, model, tinyTokenizer()),
    }),
  ),
  stacked("qwen2moe"),
  stacked("qwen3moe"),
  {
    name: "packed-deepseek3",
    outTypes: ["f32"],
    write: (folder) => writePackedFamily(folder, makePackedDeepseek(), tinyTokenizer()),
  },
  {
    name: "packed-gpt-oss",
    outTypes: ["bf16", "q8_0"],
    write: (folder) => {
      const packed = packGptOss(makeGptOss({ dtype: "BF16", hasYarn: true }));
      writePackedFamily(folder, packed, tinyTokenizer());
    },
  },
];
