// What `show` prints for people. Pure. Texts out of files lose what could move the cursor.

import type { Fit, Look } from "../../hub/look.ts";
import type { Inspection } from "../../models/inspect.ts";
import type { Described } from "../../models/model-file/described.ts";

/** A chat template takes pages: its beginning tells which one it is. `--json` has it whole. */
const VALUE_CHARACTERS_MAX = 100;

/** `more` are facts that the files themselves do not tell. */
export function renderInspection(shown: Inspection, more: readonly (readonly [string, string])[] = []): string {
  const { guidance } = shown;
  const facts: readonly (readonly [string, string | null])[] = [
    ["format", shown.variant === null ? shown.format : `${shown.format} (${shown.variant})`],
    ["architecture", shown.architecture],
    ["parameters", shown.parameterCount === null ? null : countInWords(shown.parameterCount)],
    ["quantization", shown.quantization],
    ["context", shown.contextLength === null ? null : `${shown.contextLength} tokens`],
    ["tokenizer", shown.tokenizer],
    ["chat template", shown.hasChatTemplate === null ? null : shown.hasChatTemplate ? "yes" : "no"],
    [
      "size",
      `${bytesInWords(shown.sizeBytes)} in ${shown.files.length} ${shown.files.length === 1 ? "file" : "files"}`,
    ],
    ["weights in memory", guidance.memoryBytes === null ? null : bytesInWords(guidance.memoryBytes)],
    ["tensors", shown.tensorCount === 0 ? null : String(shown.tensorCount)],
    ...shown.missing.map((line) => ["missing", line] as const),
    ...more,
    ["verdict", shown.verdict],
  ];
  const known = facts.filter((fact): fact is [string, string] => fact[1] !== null);
  return [
    plain(shown.path),
    ...columns(known),
    "",
    plain(guidance.reason),
    ...(guidance.command === null ? [] : [`  ${plain(guidance.command)}`]),
    ...section(
      "metadata",
      shown.metadata.map(({ key, value }) => [key, String(value)]),
    ),
    ...section(
      "tensors",
      shown.tensors.map(({ name, type, shape }) => [name, `${type} [${shape.join(", ")}]`]),
    ),
    "",
  ].join("\n");
}

/** Whether there is room for a model of the Hub on this machine. */
export function renderFit({
  downloadBytes,
  memory,
  disk,
}: Pick<Look<unknown>, "downloadBytes" | "disk"> & { memory: Fit | null }): [string, string][] {
  const tell = ({ neededBytes, availableBytes, fits }: Fit): string => {
    const needed = neededBytes === null ? "not known" : bytesInWords(neededBytes);
    const available = availableBytes === null ? "" : ` of ${bytesInWords(availableBytes)} that may be used`;
    return `${needed}${available}${fits === null ? "" : fits ? ": fits" : ": does not fit"}`;
  };
  return [
    ["download", bytesInWords(downloadBytes)],
    ...(memory === null ? [] : [["memory here", tell(memory)] satisfies [string, string]]),
    ["disk here", tell(disk)],
  ];
}

/** What the model's own file makes of it. */
export function renderModelFile({ file, chatTemplate, hardware, withoutEffect }: Described): [string, string][] {
  const template: [string, string][] =
    chatTemplate === null
      ? []
      : [["used instead", `the model file's chat template, ${chatTemplate.length} characters`]];
  const idle: [string, string][] = withoutEffect.length === 0 ? [] : [["without effect", withoutEffect.join(", ")]];
  const notes = hardware.map(({ key, outcome, reason }): [string, string] => [key, `${outcome}: ${reason}`]);
  return [["model file", file], ...template, ...notes, ...idle];
}

function section(title: string, rows: readonly (readonly [string, string])[]): string[] {
  return rows.length === 0 ? [] : ["", `${title}:`, ...columns(rows)];
}

function columns(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.min(48, Math.max(0, ...rows.map(([left]) => left.length)));
  return rows.map(([left, right]) => `  ${plain(left).padEnd(width)}  ${shorten(plain(right))}`);
}

/** A file's text on one line, without control characters. */
function plain(text: string): string {
  return text.replace(/\s+/g, " ").replace(/[^\P{C}]/gu, "?");
}

function shorten(text: string): string {
  return text.length > VALUE_CHARACTERS_MAX ? `${text.slice(0, VALUE_CHARACTERS_MAX)}…` : text;
}

function countInWords(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(2)} billion`;
  return count >= 1e6 ? `${(count / 1e6).toFixed(1)} million` : String(count);
}

function bytesInWords(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${bytes} bytes`;
}
