// Which SafeTensors files make up one model in a folder: by its index, by the numbering of its shards, or one file alone.
// Names out of an index are only followed within the folder.

import { join } from "node:path";
import { isRecord } from "../../lib/is-record.ts";
import { type FileSource, fieldOf, readJson } from "../file-source.ts";

export interface Shards {
  /** Those that are there, by path. */
  files: string[];
  /** Names of those that are not. */
  missing: string[];
  /** Tensor → the shard's name, as the index says it; null without one. */
  weightMap: ReadonlyMap<string, string> | null;
  /** Why the index can't be followed. */
  problem: string | null;
  kind: "single" | "sharded" | "several";
}

/** An index of 262,144 tensors with names of usual length. */
const INDEX_BYTES_MAX = 32 * 1024 * 1024;
/** The largest published models have under 300 shards. */
const SHARDS_MAX = 1_024;
const SHARD_NAME = /^(.+)-(\d{5})-of-(\d{5})\.(safetensors|bin)$/;

/** Each has a part of every tensor. */
const CONSOLIDATED_NAME = /^consolidated\.\d{2}\.pth$/;

/** `names` are all names in the folder, `weights` those of them whose bytes are weights. `ending`: of the weights' names. */
export function gatherShards(
  source: FileSource,
  folder: string,
  names: readonly string[],
  weights: readonly string[],
  preferred: readonly string[],
): Shards {
  const indexes = names.filter((name) => name.endsWith(".index.json"));
  const index = preferred.map((name) => `${name}.index.json`).find((name) => indexes.includes(name));
  if (index !== undefined) return readIndex(source, folder, index);
  const numbered = weights.map((name) => SHARD_NAME.exec(name)).find((match) => match !== null);
  if (numbered != null) return countShards(source, folder, numbered);
  const consolidated = weights.filter((name) => CONSOLIDATED_NAME.test(name));
  if (consolidated.length > 1 && !weights.includes(preferred[0] ?? "")) {
    return { ...divide(source, folder, consolidated), weightMap: null, problem: null, kind: "sharded" };
  }
  const single = preferred.find((name) => weights.includes(name)) ?? (weights.length === 1 ? weights[0] : undefined);
  const chosen = single === undefined ? weights : [single];
  return {
    files: chosen.map((name) => join(folder, name)),
    missing: [],
    weightMap: null,
    problem: null,
    kind: chosen.length === 1 ? "single" : "several",
  };
}

function readIndex(source: FileSource, folder: string, name: string): Shards {
  const none: Shards = { files: [], missing: [], weightMap: null, problem: null, kind: "sharded" };
  const read = readJson(source, join(folder, name), INDEX_BYTES_MAX);
  if ("problem" in read) return { ...none, problem: `${name} ${read.problem}` };
  const map = fieldOf(read.value, "weight_map");
  if (!isRecord(map)) return { ...none, problem: `${name} has no weight_map` };
  const weightMap = new Map<string, string>();
  const shards = new Set<string>();
  for (const [tensor, shard] of Object.entries(map)) {
    if (typeof shard !== "string" || !isPlainName(shard)) {
      return { ...none, problem: `${name} names a file outside of its folder` };
    }
    weightMap.set(tensor, shard);
    shards.add(shard);
    if (shards.size > SHARDS_MAX) return { ...none, problem: `${name} names over ${SHARDS_MAX} files` };
  }
  if (shards.size === 0) return { ...none, problem: `${name} names no files` };
  return { ...none, ...divide(source, folder, [...shards].sort()), weightMap };
}

function countShards(source: FileSource, folder: string, [, stem, , total, ending]: RegExpExecArray): Shards {
  const count = Math.min(Number(total), SHARDS_MAX);
  const names = Array.from({ length: count }, (_, index) => {
    const number = String(index + 1).padStart(5, "0");
    return `${stem}-${number}-of-${total}.${ending}`;
  });
  return { ...divide(source, folder, names), weightMap: null, problem: null, kind: "sharded" };
}

function divide(source: FileSource, folder: string, names: readonly string[]): { files: string[]; missing: string[] } {
  const isThere = (name: string): boolean => source.stat(join(folder, name))?.kind === "file";
  return {
    files: names.filter(isThere).map((name) => join(folder, name)),
    missing: names.filter((name) => !isThere(name)),
  };
}

/** A file of the folder itself: no way up, down or out. */
export function isPlainName(name: string): boolean {
  return name.length > 0 && name.length <= 255 && name !== ".." && name !== "." && !/[/\\\0]/.test(name);
}

/** The shard's name taken apart, or null: `model-00001-of-00003.safetensors`. */
export function isShardName(name: string): boolean {
  return SHARD_NAME.test(name);
}
