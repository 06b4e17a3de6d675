// Token ids as llama.cpp gives them with its own vocabularies: a tiny model of each, and 500 lines in many scripts to ask
// it for.

import type { LlamaBackend } from "../../src/engine/llama/llama-backend.ts";
import { finish } from "./finish.ts";
import { cacheModel } from "./gguf-builder.ts";
import { loadModelFile } from "./llama-library.ts";
import { makeMultilingualLines } from "./multilingual-text.ts";
import type { TokenizerName } from "./tokenizers.ts";

export const LINES = makeMultilingualLines(1, 500);

/** The vocabulary as llama.cpp's own converter left it. */
export async function loadVendored(tokenizer: TokenizerName): Promise<LlamaBackend> {
  const size = { layers: 1, width: 32, heads: 1, kvHeads: 1, headSize: 32, feedForward: 32, contextLength: 64 };
  const weights = { seed: 1, weights: "Q8_0", embeddings: "Q8_0", repeated: "all" } as const;
  return await loadModelFile(cacheModel({ shape: "llama", tokenizer, ...size, ...weights }));
}

export function idsOf(backend: LlamaBackend, text: string): number[] {
  const { tokens } = finish(
    backend.readText({ kind: "pieces", pieces: [text], addSpecial: false, parseSpecial: false }),
  );
  return [...tokens];
}
