// How many kinds of text parts an encoder tells apart (a question and its answer): rows of one of its tables, and a key
// of its tokenizer in GGUF.

import type { Fields } from "./json-file.ts";

/** What transformers assumes where config.json is silent; DistilBERT has no such table. */
export function countTokenTypes(config: Fields): number {
  return config.size("type_vocab_size") ?? (config.text("model_type") === "distilbert" ? 1 : 2);
}
