// Folders of Qwen3 rerankers, for goldens.

import type { GoldenFolder } from "./golden-folders.ts";
import { RERANKERS, rerankerTokenizer } from "./reranker-models.ts";
import { writeTinyFolder } from "./tiny-decoders.ts";

export const RERANKER_CONVERSIONS: readonly GoldenFolder[] = Object.entries(RERANKERS).map(([name, model]) => ({
  name,
  outTypes: model.isTied ? ["f32", "q8_0"] : ["bf16"],
  write: (folder) => writeTinyFolder(folder, model, rerankerTokenizer()),
}));
