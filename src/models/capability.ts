// What a model can be asked for: judged from its header, and words for a name that asks for it (`auto:tools`). Pure.
// The engine has the last word; what the header does not tell is false here.

import type { GgufHeader } from "../formats/gguf/read-header.ts";
import { AppError } from "../protocol/errors.ts";
import type { Capabilities, Pooling } from "../protocol/model-info.ts";
import { judgeTemplate } from "../protocol/template-capabilities.ts";
import type { ModelEntry } from "./entry.ts";
import { AUTO_NAME } from "./name.ts";

export const NO_CAPABILITIES: Capabilities = {
  chat: false,
  completion: false,
  embedding: false,
  rerank: false,
  tools: false,
  reasoning: false,
  infill: false,
  vision: false,
};

/** Keys of both generations of converters, prefix first. */
const INFILL_KEYS = [
  ["tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.fim_suf_token_id"],
  ["tokenizer.ggml.prefix_token_id", "tokenizer.ggml.suffix_token_id"],
] as const;

export interface HeaderFacts {
  header: GgufHeader;
  /** False for parts that are no text model. */
  model: boolean;
  generates: boolean;
  pooling: Pooling | null;
}

export function judgeCapabilities({ header, model, generates, pooling }: HeaderFacts): Capabilities {
  const value = header.metadata.get("tokenizer.chat_template");
  const template = generates && typeof value === "string" ? value : "";
  return {
    // A model without a template of its own chats in ChatML, as llama.cpp does it.
    chat: generates,
    completion: generates,
    embedding: model && pooling !== "rank",
    rerank: model && pooling === "rank",
    ...judgeTemplate(template),
    infill: generates && INFILL_KEYS.some((keys) => keys.every((key) => header.metadata.has(key))),
    vision: false,
  };
}

/** `auto` → none, `auto:tools` and `auto:tools,reasoning` → these; null: the name asks for no capability. Throws `invalid_request`. */
export function readSelector(name: string): (keyof Capabilities)[] | null {
  if (name === AUTO_NAME) return [];
  if (!name.startsWith(`${AUTO_NAME}:`)) return null;
  return name
    .slice(AUTO_NAME.length + 1)
    .split(",")
    .map((word) => readCapability(word.trim()));
}

function readCapability(word: string): keyof Capabilities {
  const known = Object.keys(NO_CAPABILITIES) as (keyof Capabilities)[];
  const found = known.find((capability) => capability === word);
  if (found !== undefined) return found;
  throw new AppError({
    code: "invalid_request",
    message: `the model "auto:${word.slice(0, 60)}" asks for an unknown capability`,
    hint: `Known ones are ${known.join(", ")}.`,
    param: "model",
  });
}

/**
 * The entry that has all these capabilities and is best for them: one that was made for vectors before one that can
 * give them too, then the default model, then the first in the list. Null: there is none.
 */
export function findEntry(
  entries: readonly ModelEntry[],
  standard: ModelEntry | null,
  wanted: readonly (keyof Capabilities)[],
): ModelEntry | null {
  const able = entries.filter((entry) => entry.error === null && wanted.every((word) => entry.capabilities[word]));
  const made = wanted.includes("embedding") ? able.find((entry) => !entry.capabilities.completion) : undefined;
  return made ?? able.find((entry) => entry === standard) ?? able[0] ?? null;
}

/** Throws `model_not_found` where `findEntry` finds none. */
export function selectEntry(
  entries: readonly ModelEntry[],
  standard: ModelEntry | null,
  wanted: readonly (keyof Capabilities)[],
): ModelEntry {
  const chosen = findEntry(entries, standard, wanted);
  if (chosen !== null) return chosen;
  throw new AppError({
    code: "model_not_found",
    message: `no model here is known to be able to do this: ${wanted.join(", ")}`,
    param: "model",
  });
}
