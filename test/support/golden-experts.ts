// Folders of models with experts, for goldens.

import type { GoldenFolder } from "./golden-folders.ts";
import { tinyTokenizer } from "./hf-tokenizers.ts";
import { writeTinyFolder } from "./tiny-decoders.ts";
import { EXPERT_MODELS } from "./tiny-models.ts";

export const EXPERT_CONVERSIONS: readonly GoldenFolder[] = Object.entries(EXPERT_MODELS).map(([name, model]) => ({
  name: `tiny-${name}`,
  outTypes: name.endsWith("-parts") ? ["f16", "bf16", "q8_0"] : ["f32"],
  write: (folder) => writeTinyFolder(folder, model, tinyTokenizer()),
}));
