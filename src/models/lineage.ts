// What a file's header says about its kin: whether it is a model or a part that goes with one, what it is called, and
// which models it was made from. Names are compared without case and punctuation. Pure.

import type { GgufHeader } from "../formats/gguf/read-header.ts";
import { quantizationOf } from "../protocol/hub-name.ts";
import { isDraftHead, isProjector } from "./architecture.ts";
import { idFromFileName } from "./name.ts";

export type CompanionKind = "projector" | "draft" | "adapter";

export interface Lineage {
  role: "model" | CompanionKind;
  /** The model's own names. */
  names: readonly string[];
  /** Those of the models that it was made from, or for. */
  bases: readonly string[];
}

export const NO_LINEAGE: Lineage = { role: "model", names: [], bases: [] };

/** Merges of more models than this are told in part. */
const BASES_MAX = 16;

export function readLineage({ metadata }: GgufHeader): Lineage {
  const text = (key: string): string => {
    const value = metadata.get(key);
    return typeof value === "string" ? value : "";
  };
  const bases: string[] = [];
  for (let index = 0; index < BASES_MAX; index++) {
    const key = `general.base_model.${index}`;
    // `https://huggingface.co/owner/repo`: the last part is the name.
    bases.push(text(`${key}.name`), text(`${key}.repo_url`).split("/").at(-1) ?? "");
  }
  return {
    role: roleOf(text("general.type"), text("general.architecture")),
    names: normalizeAll([text("general.name"), text("general.basename")]),
    bases: normalizeAll(bases),
  };
}

function roleOf(type: string, architecture: string): Lineage["role"] {
  if (type === "adapter") return "adapter";
  if (type === "mmproj" || isProjector(architecture)) return "projector";
  return isDraftHead(architecture) ? "draft" : "model";
}

export function normalizeName(name: string): string {
  return name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
}

function normalizeAll(names: readonly string[]): string[] {
  return [...new Set(names.map(normalizeName))].filter((name) => name !== "");
}

/** What companions' names have besides the model's. */
const COMPANION_WORDS = /(?<=^|[-._])(mmproj|projector|lora|adapter|gguf|ggml|model)(?=$|[-._])/gi;
const DRAFT_WORD = /(?<=^|[-._])draft(?=$|[-._])/i;

export function namesDraft(fileName: string): boolean {
  return DRAFT_WORD.test(idFromFileName(fileName));
}

/**
 * What a file's name says besides its quantisation and its role: `gemma34bit` of `mmproj-gemma-3-4b-it-f16.gguf`; may be
 * empty. Of a draft model it is what stands before that word, since its size stands behind.
 */
export function familyOf(fileName: string): string {
  const stem = idFromFileName(fileName);
  const beforeDraft = stem.split(DRAFT_WORD)[0] ?? "";
  const own = beforeDraft === "" ? stem.replace(DRAFT_WORD, "") : beforeDraft;
  const bare = own.replace(COMPANION_WORDS, "");
  const quantization = quantizationOf(bare);
  const spelt =
    quantization === null ? null : new RegExp(`[-._]?${quantization.replace(/^F/, "FP?")}(?=$|[-._])`, "gi");
  return normalizeName(spelt === null ? bare : bare.replace(spelt, ""));
}
