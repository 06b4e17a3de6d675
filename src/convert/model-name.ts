// What a model's name says: `Qwen/Qwen3-0.6B-Base` is of Qwen, has the base name Qwen3, 0.6B parameters, and is the
// finetune Base. Guesses from a name alone, as llama.cpp's converter makes them, so that files are labelled alike. Pure.

export interface NameParts {
  /** Without the owner. */
  fullName: string;
  organization: string | null;
  basename: string | null;
  finetune: string | null;
  version: string | null;
  sizeLabel: string | null;
}

type Role = "basename" | "size" | "finetune" | "version" | "type";

interface Part {
  text: string;
  roles: Set<Role>;
}

const VERSION = /^(v|iter)?\d+([.]\d+)*$/i;
const QUANT_TYPE = /^(i?q\d(_\w)*|b?fp?(16|32))$/i;
const SIZE = /^((([A]|\d+[x])?\d+([._]\d+)?[KMBT][\d]?)|small|mini|medium|large|x?xl)$/i;
const FINETUNE = /^(chat|instruct|vision|lora)$/i;

/** `parameterCount` tells a size from a context length, which is written alike. */
export function splitModelName(id: string, parameterCount: number): NameParts {
  const slash = id.indexOf("/");
  // A sentence is a title and nothing else.
  const isTitle = id.includes(" ");
  const owner = slash === -1 || isTitle ? null : id.slice(0, slash);
  const fullName = owner === null ? id : id.slice(slash + 1);
  const organization = owner?.startsWith(".") === true ? null : owner;
  const named = { fullName, organization, basename: null, finetune: null, version: null, sizeLabel: null };
  if (isTitle) return named;
  const words = fullName.split("-").filter((word) => word !== "");
  const parts = words.map((word, index) => judgePart(word, index > 0, parameterCount));
  dropWordSizes(parts);
  markBasename(parts);
  const join = (role: Role) => parts.filter(({ roles }) => roles.has(role)).map(({ text }) => text);
  const sizeLabel = orNull([...new Set(join("size"))].join("-"));
  const finetune = orNull(join("finetune").join("-"));
  const versions = parts.filter(({ roles }) => roles.has("version") && !roles.has("basename"));
  const version = orNull(versions.map(({ text }) => text).join("-"));
  // A name without any of these says too little to cut it.
  if (sizeLabel === null && finetune === null && version === null) return named;
  return { ...named, basename: orNull(join("basename").join("-")), finetune, version, sizeLabel };
}

/** A GGUF file's name without what says its format, its part and its type. */
export function nameGguf(fileName: string): string {
  const stem = fileName.replace(/\.gguf$/i, "").replace(/-\d{5}-of-\d{5}$/, "");
  return stem.replace(/(?<=.)[-._](b?f16|f32|b?fp(16|32)|i?q\d(_\w+)*)$/i, "");
}

function judgePart(word: string, isLater: boolean, parameterCount: number): Part {
  if (VERSION.test(word)) return { text: word, roles: new Set(["version"]) };
  if (QUANT_TYPE.test(word)) return { text: word.toUpperCase(), roles: new Set(["type"]) };
  if (isLater && SIZE.test(word)) return judgeSize(word, parameterCount);
  if (isLater && FINETUNE.test(word)) return { text: word, roles: new Set(["finetune"]) };
  return { text: word, roles: new Set() };
}

function judgeSize(word: string, parameterCount: number): Part {
  let text = word.replaceAll("_", ".");
  // bloom-7b1 has 7.1b.
  if (/\d$/.test(text)) text = `${text.slice(0, -2)}.${text.slice(-1)}${text.slice(-2, -1)}`;
  if (/\d[kmbt]$/.test(text)) text = text.slice(0, -1) + text.slice(-1).toUpperCase();
  const unit = " KMBT".indexOf(text.slice(-1));
  const number = /^[\d.]+$/.test(text.slice(0, -1)) ? Number(text.slice(0, -1)) : Number.NaN;
  const claimed = number * 1000 ** unit;
  if (parameterCount > 0 && Math.abs(claimed - parameterCount) > Math.floor((7 * parameterCount) / 8)) {
    return { text: text.slice(0, -1) + text.slice(-1).toLowerCase(), roles: new Set(["finetune"]) };
  }
  return { text, roles: new Set(["size"]) };
}

/** "large" is no size beside "7B". */
function dropWordSizes(parts: readonly Part[]): void {
  const sizes = parts.filter(({ roles }) => roles.has("size"));
  if (!sizes.some(({ text }) => /\d/.test(text))) return;
  for (const { text, roles } of sizes) if (/^\p{L}+$/u.test(text)) roles.delete("size");
}

function markBasename(parts: readonly Part[]): void {
  let atStart = true;
  for (const { text, roles } of parts) {
    if (atStart && ((roles.size === 0 && /^\p{L}/u.test(text)) || roles.has("version"))) {
      roles.add("basename");
      continue;
    }
    atStart = false;
    if (roles.size === 0) roles.add("finetune");
  }
  // A version at the end of the base name is a version.
  for (const { roles } of parts.toReversed()) {
    if (!roles.has("basename") || roles.size === 1) break;
    roles.delete("basename");
  }
}

const orNull = (text: string): string | null => (text === "" ? null : text);

/** `qwen3-0.6b` as a title: `Qwen3 0.6b`. Words with capitals, versions and numbers stay as they are. */
export function toTitle(name: string): string {
  const words = name.trim().replaceAll("-", " ").split(/\s+/);
  const isLower = (word: string) => /\p{L}/u.test(word) && word === word.toLowerCase();
  const capitalise = (word: string) =>
    word.replaceAll(/\p{L}+/gu, (run) => run.slice(0, 1).toUpperCase() + run.slice(1));
  return words
    .map((word) => (isLower(word) && !/^(v\d+(\.\d+)*|\d.*)$/.test(word) ? capitalise(word) : word))
    .join(" ");
}

/** Of all tensors; with experts, what is shared and one expert of each layer: `8x7B`. */
export function labelTensors(tensors: readonly { name: string; dims: readonly number[] }[]): string {
  let parameters = 0;
  const counts: number[] = [];
  for (const { name, dims } of tensors) {
    const size = dims.reduce((product, count) => product * count, 1);
    const experts = name.includes("_exps.") ? (dims[2] ?? null) : null;
    parameters += size / (experts ?? 1);
    if (experts !== null) counts.push(experts);
  }
  const label = labelSize(parameters);
  return counts.length === 0 ? label : `${Math.floor(sum(counts) / counts.length)}x${label}`;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** `1.5B`, `135M`: two digits at least. */
export function labelSize(parameterCount: number): string {
  const scales: [number, string][] = [
    [1e12, "T"],
    [1e9, "B"],
    [1e6, "M"],
  ];
  const [unit, suffix] = scales.find(([scale]) => parameterCount > scale) ?? [1e3, "K"];
  const scaled = parameterCount * (1 / unit);
  const digits = String(Math.round(scaled)).replace(/^0+/, "").length;
  return `${scaled.toFixed(Math.max(2 - digits, 0))}${suffix}`;
}
