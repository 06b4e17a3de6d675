// The ids of single tokens by their texts, for models that are asked about words.

import { damagedModel, readJsonFile } from "../json-file.ts";
import { readVocabulary } from "./byte-bpe.ts";

/** Throws AppError where tokenizer.json has no such token. */
export function findTokenId(folder: string, text: string, vocabularySize: number): number {
  const model = readJsonFile(folder, "tokenizer.json")?.object("model") ?? null;
  const found = model === null ? undefined : readVocabulary(model, vocabularySize).find(([token]) => token === text);
  if (found !== undefined) return found[1];
  throw damagedModel(`tokenizer.json has no token "${text}", which this model answers with`);
}
