// Which of a repository's files make up a model, and which of its models is taken: the one that was asked for, or the
// best that fits into memory. Pure.

import { formatBytes } from "../lib/byte-count.ts";
import { AppError } from "../protocol/errors.ts";
import { hubTag, quantizationOf } from "../protocol/hub-name.ts";
import type { RepositoryFile } from "./repository.ts";

export type CompanionKind = "projector" | "adapter" | "draft";

export interface Variant {
  /** What stands behind the colon of its name; no two of a repository have the same. */
  tag: string;
  /** All parts, first part first. */
  files: RepositoryFile[];
  sizeBytes: number;
}

/** Weights that were not quantised: twice the size of Q8_0, and no better to tell apart. */
const UNQUANTIZED = /^(BF16|F16|F32)$/;
const NO_MODEL = /(^|[-._/])(imatrix)([-._/]|$)/i;
/** Parts that go with a model, by what their names say. */
const COMPANIONS: Readonly<Record<CompanionKind, RegExp>> = {
  projector: /(^|[-._/])mmproj([-._/]|$)/i,
  adapter: /(^|[-._/])(lora|adapter)([-._/]|$)/i,
  draft: /(^|[-._/])draft([-._]|$)[^/]*$/i,
};
const PART = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i;

export interface Companion extends Variant {
  kind: CompanionKind;
}

/** By path. A model whose parts are not all there is left out; what goes with a model is none. */
export function listVariants(files: readonly RepositoryFile[]): Variant[] {
  const ofKind = (kind: CompanionKind | null): RepositoryFile[][] =>
    groupParts(files.filter(({ path }) => !NO_MODEL.test(path) && companionKind(path) === kind));
  const models = ofKind(null);
  const tags = new Set<string>();
  // Of a repository of draft models these are the models.
  return (models.length > 0 ? models : ofKind("draft")).map((parts) => {
    const path = parts[0]?.path ?? "";
    let tag = hubTag(path);
    if (tags.has(tag)) tag = stemOf(path).replaceAll("/", "-");
    tags.add(tag);
    return { tag, files: parts, sizeBytes: sumBytes(parts) };
  });
}

/** Projectors, adapters and draft models, by path. Their tags are their names: quantisations are those of models. */
export function listCompanions(files: readonly RepositoryFile[]): Companion[] {
  const found = files.map((file) => ({ file, kind: companionKind(file.path) }));
  return (["projector", "draft", "adapter"] as const).flatMap((kind) =>
    groupParts(found.filter((one) => one.kind === kind).map(({ file }) => file)).map((parts) => {
      const tag = stemOf(parts[0]?.path ?? "").replaceAll("/", "-");
      return { kind, tag, files: parts, sizeBytes: sumBytes(parts) };
    }),
  );
}

/** Of several projectors, or drafts, one is enough: the first of these, else the smallest. All adapters: each is another. */
export function chooseCompanions(companions: readonly Companion[]): Companion[] {
  const best = (kind: CompanionKind): Companion[] => {
    const sorted = companions.filter((one) => one.kind === kind).toSorted((a, b) => a.sizeBytes - b.sizeBytes);
    const preferred = COMPANION_TYPES.map((type) => sorted.find(({ tag }) => quantizationIn(tag) === type));
    return [preferred.find((one) => one !== undefined) ?? sorted[0]].filter((one) => one !== undefined);
  };
  return [...best("projector"), ...best("draft"), ...companions.filter(({ kind }) => kind === "adapter")];
}

/** Projectors and drafts are small: what rounding saves is little. */
const COMPANION_TYPES = ["F16", "BF16", "Q8_0"];

function quantizationIn(tag: string): string | null {
  return quantizationOf(tag.replace(/mmproj/i, ""));
}

function companionKind(path: string): CompanionKind | null {
  if (NO_MODEL.test(path)) return null;
  return (["projector", "adapter", "draft"] as const).find((kind) => COMPANIONS[kind].test(path)) ?? null;
}

function stemOf(path: string): string {
  return path.replace(/\.gguf$/i, "").replace(/-\d{5}-of-\d{5}$/, "");
}

function sumBytes(files: readonly RepositoryFile[]): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** Files of one model together; those of which one is missing are left out. */
function groupParts(files: readonly RepositoryFile[]): RepositoryFile[][] {
  const groups = new Map<string, RepositoryFile[]>();
  const sorted = files.filter(({ path }) => /\.gguf$/i.test(path));
  for (const file of sorted.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    const part = PART.exec(file.path);
    const key = part === null ? file.path : `${part[1]}-of-${part[3]}`;
    groups.set(key, [...(groups.get(key) ?? []), file]);
  }
  return [...groups.values()].filter(isWhole);
}

/** Parts are sorted by path, so their numbers must be those from one on. */
function isWhole(parts: readonly RepositoryFile[]): boolean {
  const numbers = parts.map(({ path }) => PART.exec(path));
  const count = numbers[0]?.[3];
  return count === undefined || (parts.length === Number(count) && numbers.every((n, at) => Number(n?.[2]) === at + 1));
}

/** Null: it is not known how much memory there is. `largestBytes`: of a file that leaves room for all else. */
export function fitsMemory(sizeBytes: number, largestBytes: number | null): boolean | null {
  return largestBytes === null ? null : sizeBytes <= largestBytes;
}

export interface Choice {
  repo: string;
  /** What else may be named. */
  companions?: readonly Companion[];
  /** A tag or a path; null: whichever fits. */
  wanted: string | null;
  /** Null: not known, so nothing is held against it. */
  largestBytes: number | null;
}

/** Throws `model_not_found` or `out_of_memory` with what there is. */
export function chooseVariant(variants: readonly Variant[], choice: Choice): Variant {
  const { repo, wanted, largestBytes, companions = [] } = choice;
  const named = wanted === null ? undefined : findNamed([...variants, ...companions], wanted);
  if (named !== undefined) return named;
  if (variants.length === 0) {
    const message = `${repo} has no GGUF file of a model`;
    const hint = "Search the Hub for a repository of the same name with -GGUF behind it.";
    throw new AppError({ code: "model_not_found", message, hint, param: "model" });
  }
  if (wanted !== null) {
    const message = `${repo} has no model ${JSON.stringify(wanted)}`;
    throw new AppError({ code: "model_not_found", message, hint: `It has ${listTags(variants)}.`, param: "model" });
  }
  const [best] = rankVariants(variants, largestBytes);
  if (best !== undefined) return best;
  throw new AppError({
    code: "out_of_memory",
    message: `none of the models of ${repo} fits into memory: here one may have ${formatBytes(largestBytes ?? 0)}`,
    hint: `Choose a smaller model, or name one in spite of it: ${listTags(variants)}.`,
    param: "model",
  });
}

/** Those that fit by their size, the largest first; what was not quantised only where there is nothing else. */
export function rankVariants(variants: readonly Variant[], largestBytes: number | null): Variant[] {
  const fitting = variants.filter(({ sizeBytes }) => fitsMemory(sizeBytes, largestBytes) !== false);
  const quantized = fitting.filter(({ tag }) => !UNQUANTIZED.test(tag));
  return (quantized.length > 0 ? quantized : fitting).toSorted((a, b) => b.sizeBytes - a.sizeBytes);
}

function findNamed(variants: readonly Variant[], wanted: string): Variant | undefined {
  const folded = wanted.toLowerCase();
  const same = (text: string): boolean => text.toLowerCase() === folded;
  return (
    variants.find(({ tag }) => same(tag)) ??
    variants.find(({ files }) => files.some(({ path }) => same(path) || same(path.split("/").at(-1) ?? ""))) ??
    variants.find(({ files }) => same(quantizationOf(files[0]?.path ?? "") ?? ""))
  );
}

function listTags(variants: readonly Variant[]): string {
  const shown = variants.toSorted((a, b) => a.sizeBytes - b.sizeBytes).slice(0, 40);
  const more = variants.length > shown.length ? `, and ${variants.length - shown.length} more` : "";
  return shown.map(({ tag, sizeBytes }) => `${tag} (${formatBytes(sizeBytes)})`).join(", ") + more;
}
