// How models of the Hugging Face Hub are called: `owner/repo:tag`, where the tag is the quantisation that a file's name
// tells, or else that name. Also the record that a download leaves beside its file. Pure; touches no disk and no network.

/** As file names spell them: `Q4_K_M`, `UD-IQ2_XXS`, `f16`, `mxfp4`. The last one in a name counts. */
const QUANTIZATION =
  /(?<=^|[-._/])(?:UD-)?(?:I?Q[1-8](?:_(?:K|NL|XXS|XS|XL|S|M|L|[0-9]))*|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|BF16|FP?16|FP?32)(?=$|[-.])/gi;

/** `name-00001-of-00003`. */
const SPLIT_SUFFIX = /-\d{5}-of-\d{5}$/;

/** Files that go with a model: their quantisation must not be taken for the model's. */
const COMPANION = /(^|[-._/])(mmproj|imatrix)([-._]|$)/i;

/** Names on the Hub: letters, digits, `-`, `_`, `.`; never `--` or `..`. The owner is absent for very old ones. */
const REPOSITORY = /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9_][\w.-]{0,95}$/;

export function isRepository(text: string): boolean {
  return REPOSITORY.test(text) && !text.includes("--") && !text.includes("..");
}

/** `Q4_K_M` of `model-q4_k_m-00001-of-00002.gguf`; null where the name tells none. */
export function quantizationOf(path: string): string | null {
  if (COMPANION.test(path)) return null;
  const found = [...stemOf(path).matchAll(QUANTIZATION)].at(-1)?.[0].toUpperCase();
  return found === undefined ? null : found.replace(/^FP/, "F");
}

/** What stands behind the colon: the quantisation, or the file's name where that tells none. */
export function hubTag(path: string): string {
  return quantizationOf(path) ?? stemOf(path.slice(path.lastIndexOf("/") + 1));
}

/** A path without `.gguf` and without the suffix of a part. */
function stemOf(path: string): string {
  return path.replace(/\.gguf$/i, "").replace(SPLIT_SUFFIX, "");
}

/** What is known of a file that was downloaded. */
export interface PullRecord {
  /** `owner/repo`; null: it came from a plain URL. */
  repo: string | null;
  tag: string | null;
  /** Where it came from. */
  url: string;
  revision: string | null;
  sizeBytes: number;
  /** Hexadecimal; null: the source told none, so nothing could be compared. */
  sha256: string | null;
}

/** A record is a few lines. */
export const RECORD_BYTES_MAX = 64 * 1024;

/** The record's file, hidden so that it is no model: in the same folder. */
export function recordName(fileName: string): string {
  return `.${fileName}.pulled.json`;
}

export function encodeRecord(record: PullRecord): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}

/** Null: it is none. */
export function decodeRecord(text: string): PullRecord | null {
  const value = parseObject(text);
  if (value === null) return null;
  const textOrNull = (key: string): string | null => (typeof value[key] === "string" ? value[key] : null);
  const { url, sizeBytes } = value;
  if (typeof url !== "string" || typeof sizeBytes !== "number") return null;
  const repo = textOrNull("repo");
  return {
    repo: repo !== null && isRepository(repo) ? repo : null,
    tag: textOrNull("tag"),
    url,
    revision: textOrNull("revision"),
    sizeBytes,
    sha256: textOrNull("sha256"),
  };
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch (_notJson) {
    // Cut by a crash, or somebody else's file: then there is no record.
    return null;
  }
}
