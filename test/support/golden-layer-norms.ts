// Folders of models with layer norms, for goldens.

import type { OutType } from "../../src/convert/out-types.ts";
import type { GoldenFolder } from "./golden-folders.ts";
import { tinyTokenizer } from "./hf-tokenizers.ts";
import { LAYER_NORM_MODELS } from "./layer-norm-models.ts";
import { writeFamilyFolder } from "./tiny-families.ts";

const ROUNDED: readonly OutType[] = ["f16", "bf16", "q8_0"];

export const LAYER_NORM_CONVERSIONS: readonly GoldenFolder[] = Object.entries(LAYER_NORM_MODELS).map(
  ([name, family]) => ({
    name: `tiny-${name}`,
    outTypes: name.endsWith("-parts") ? ROUNDED : ["f32"],
    // The script leaves it out; without it a listing can't say how a file is quantised.
    ...(name.startsWith("gptneox") ? { adds: ["general.file_type"] } : {}),
    write: (folder) => writeFamilyFolder(folder, family, tinyTokenizer()),
  }),
);
