// How texts are made alike before they are cut: small letters, no accents. From tokenizer.json's normaliser, as far as
// llama.cpp does it; only its WordPiece looks at these keys.

import type { GgufEntry } from "../../formats/gguf/write-header.ts";
import { isRecord } from "../../lib/is-record.ts";
import { Fields } from "../json-file.ts";

/** Real ones have up to ten steps, one level deep. */
const STEPS_MAX = 64;

export function planNormalizer(tokenizer: Fields | null): [string, GgufEntry][] {
  const found = new Map<string, boolean>();
  for (const step of listSteps(tokenizer)) {
    const type = step.text("type");
    if (type === "Lowercase") found.set("lowercase", true);
    if (type === "StripAccents") found.set("strip_accents", true);
    if (type !== "BertNormalizer") continue;
    for (const key of ["lowercase", "strip_accents"]) {
      const value = step.truth(key);
      if (value !== null) found.set(key, value);
    }
  }
  return ["lowercase", "strip_accents"].flatMap((key): [string, GgufEntry][] => {
    const value = found.get(key);
    return value === undefined ? [] : [[`tokenizer.ggml.normalizer.${key}`, { type: "bool", value }]];
  });
}

export function listSteps(tokenizer: Fields | null): Fields[] {
  const root = tokenizer?.object("normalizer") ?? null;
  if (root === null) return [];
  if (root.text("type") !== "Sequence") return [root];
  const inner = root.list("normalizers").filter(isRecord).slice(0, STEPS_MAX);
  return inner.map((step) => new Fields(root.source, step));
}
