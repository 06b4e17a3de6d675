// The `general.*` keys: what a model is called, who made it, under which license, from what, and with which sampling it
// is meant to be used. From the model card's front matter, config.json, generation_config.json and the folder's name.
// Nothing here changes how a model computes, so a file that can't be read is left out with a note.

import type { GgufEntry, GgufScalarType } from "../formats/gguf/write-header.ts";
import { isRecord } from "../lib/is-record.ts";
import { AppError } from "../protocol/errors.ts";
import { Fields, readJsonFile, readTextFile } from "./json-file.ts";
import { splitModelName, toTitle } from "./model-name.ts";

export interface GeneralInput {
  folder: string;
  config: Fields;
  /** The folder's name, or `owner/repo` where that is known. */
  id: string;
  parameterCount: number;
  /** Such as `7B`, where neither the model card nor a name says another. */
  sizeLabel: string;
}

export interface GeneralPlan {
  entries: [key: string, entry: GgufEntry][];
  notes: string[];
}

/** generation_config.json's fields → keys; the first that is there counts. */
const SAMPLING: readonly [key: string, type: GgufScalarType, fields: readonly string[]][] = [
  ["sequence", "string", ["sequence"]],
  ["top_k", "i32", ["top_k"]],
  ["top_p", "f32", ["top_p"]],
  ["min_p", "f32", ["min_p"]],
  ["xtc_probability", "f32", ["xtc_probability"]],
  ["xtc_threshold", "f32", ["xtc_threshold"]],
  ["temp", "f32", ["temperature"]],
  ["penalty_last_n", "i32", ["penalty_last_n"]],
  ["penalty_repeat", "f32", ["penalty_repeat", "repetition_penalty"]],
  ["mirostat", "i32", ["mirostat"]],
  ["mirostat_tau", "f32", ["mirostat_tau"]],
  ["mirostat_eta", "f32", ["mirostat_eta"]],
];

/** The model card's fields → keys, in the order of the keys. */
const CARD: readonly [key: string, fields: readonly string[]][] = [
  ["name", ["name", "model_name"]],
  ["author", ["author", "model_author", "model_creator"]],
  ["version", ["version", "model_version"]],
  ["organization", ["organization", "model_organization"]],
  ["finetune", ["finetune", "model_finetune"]],
  ["basename", ["basename", "model_basename", "model_type"]],
  ["description", ["description", "model_description"]],
  ["size_label", ["size_label", "model_size_label"]],
  ["license", ["license"]],
  ["license.name", ["license_name"]],
  ["license.link", ["license_link"]],
  ["source.url", ["url", "model_url"]],
  ["source.doi", ["doi", "model_doi"]],
  ["source.uuid", ["uuid", "model_uuid"]],
  ["source.repo_url", ["repo_url", "model_repo_url"]],
];

/** Front matters are a page or two; evaluation results make some of them twenty. */
const CARD_LENGTH_MAX = 256 * 1024;
/** Cards list up to some dozens; what is over is left out. */
const LIST_MAX = 256;

export function planGeneral(input: GeneralInput): GeneralPlan {
  const plan: GeneralPlan = { entries: [["general.type", { type: "string", value: "model" }]], notes: [] };
  plan.entries.push(...planSampling(input.folder, plan.notes));
  const card = readCard(input.folder, plan.notes);
  const values = new Map<string, string>();
  for (const [key, fields] of CARD) {
    const found = fields.map((field) => textOf(card?.value(field))).find((text) => text !== null);
    if (found !== undefined && found !== null) values.set(key, found);
  }
  nameByIds(values, input);
  if (!values.has("size_label")) values.set("size_label", input.sizeLabel);
  for (const [key] of CARD) {
    const value = values.get(key);
    if (value !== undefined && value !== "") plan.entries.push([`general.${key}`, { type: "string", value }]);
  }
  if (card !== null) plan.entries.push(...planOrigins(card, input.parameterCount), ...planLists(card));
  return plan;
}

/** What the card leaves open is guessed from config.json's name, then from the folder's. */
function nameByIds(values: Map<string, string>, { config, id, parameterCount }: GeneralInput): void {
  const stated = config.text("_name_or_path");
  // With more slashes it is a path on somebody's machine.
  const ids = stated !== null && stated !== "" && stated.split("/").length <= 2 ? [stated, id] : [id];
  for (const candidate of ids) {
    const parts = splitModelName(candidate, parameterCount);
    const guesses: [string, string | null][] = [
      ["name", toTitle(parts.fullName)],
      ["organization", parts.organization === null ? null : toTitle(parts.organization)],
      ["basename", parts.basename],
      ["finetune", parts.finetune],
      ["version", parts.version],
      ["size_label", parts.sizeLabel],
    ];
    for (const [key, guess] of guesses) if (guess !== null && !values.has(key)) values.set(key, guess);
  }
}

function planSampling(folder: string, notes: string[]): [string, GgufEntry][] {
  const file = readOrNote(notes, () => readJsonFile(folder, "generation_config.json"));
  if (file === null) return [];
  return SAMPLING.flatMap(([key, type, fields]): [string, GgufEntry][] => {
    const value = fields.map((field) => file.value(field)).find((candidate) => candidate !== null);
    const fits = type === "string" ? typeof value === "string" && value !== "" : typeof value === "number";
    const whole = type !== "i32" || Number.isInteger(value);
    return fits && whole ? [[`general.sampling.${key}`, { type, value: value as string | number }]] : [];
  });
}

/** Front matter: YAML between two lines of dashes, at the very beginning. */
function readCard(folder: string, notes: string[]): Fields | null {
  const text = readOrNote(notes, () => readTextFile(folder, "README.md"));
  const lines = text?.split(/\r?\n/) ?? [];
  if (lines[0] !== "---") return null;
  const end = lines.indexOf("---", 1);
  const body = lines.slice(1, end === -1 ? lines.length : end).join("\n");
  if (body.length > CARD_LENGTH_MAX) {
    notes.push(`the front matter of README.md has ${body.length} characters and is left out`);
    return null;
  }
  try {
    // Norway's "no" is a language here, and tabs are what some editors leave.
    const value = Bun.YAML.parse(`${body}\n`.replaceAll("- no\n", '- "no"\n').replaceAll("\t", "  "));
    return isRecord(value) ? new Fields("README.md", value) : null;
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    notes.push(`the front matter of README.md is not YAML and is left out: ${why.slice(0, 100)}`);
    return null;
  }
}

function readOrNote<T>(notes: string[], read: () => T | null): T | null {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof AppError)) throw thrown;
    notes.push(`left out: ${thrown.message}`);
    return null;
  }
}

function textOf(value: unknown): string | null {
  if (typeof value === "string") return value;
  if (typeof value === "number") return String(value);
  return Array.isArray(value) && value.every((item) => typeof item === "string") ? value.join(",") : null;
}

/** What the model was made from, and from which data. */
function planOrigins(card: Fields, parameterCount: number): [string, GgufEntry][] {
  const models = firstOf(card, ["base_model", "base_models", "base_model_sources"]);
  const data = firstOf(card, ["datasets", "dataset", "dataset_sources"]);
  return [...planOriginList("base_model", models, parameterCount), ...planOriginList("dataset", data, parameterCount)];
}

function firstOf(card: Fields, names: readonly string[]): readonly unknown[] | null {
  const value = names.map((name) => card.value(name)).find((candidate) => candidate !== null);
  if (value === undefined) return null;
  return (Array.isArray(value) ? value : [value]).slice(0, LIST_MAX);
}

function planOriginList(
  kind: string,
  origins: readonly unknown[] | null,
  parameterCount: number,
): [string, GgufEntry][] {
  const ids = origins?.filter((origin) => typeof origin === "string") ?? [];
  if (ids.length === 0) return [];
  const entries: [string, GgufEntry][] = [[`general.${kind}.count`, { type: "u32", value: ids.length }]];
  for (const [index, id] of ids.entries()) {
    for (const [key, value] of describeOrigin(id, parameterCount)) {
      if (value !== null && value !== "") entries.push([`general.${kind}.${index}.${key}`, { type: "string", value }]);
    }
  }
  return entries;
}

function describeOrigin(id: string, parameterCount: number): [string, string | null][] {
  const isUrl = /^(https?|ssh):\/\//.test(id);
  const hub = /^https?:\/\/huggingface\.co\/([^/]+\/[^/]+)$/.exec(id)?.[1];
  if (isUrl && hub === undefined) return [["repo_url", id]];
  const parts = splitModelName(hub ?? id, parameterCount);
  const { organization, fullName } = parts;
  const repo = organization === null ? null : `https://huggingface.co/${organization}/${fullName}`;
  return [
    ["name", toTitle(fullName)],
    ["version", parts.version],
    ["organization", organization === null ? null : toTitle(organization)],
    ["repo_url", isUrl ? id : repo],
  ];
}

function planLists(card: Fields): [string, GgufEntry][] {
  const lists: [string, readonly string[]][] = [
    ["tags", ["tags", "pipeline_tag"]],
    ["languages", ["languages", "language"]],
  ];
  return lists.flatMap(([key, fields]): [string, GgufEntry][] => {
    const values = fields
      .flatMap((field) => card.value(field) ?? [])
      .filter((value) => typeof value === "string")
      .slice(0, LIST_MAX);
    return values.length === 0 ? [] : [[`general.${key}`, { type: "array", of: "string", values }]];
  });
}
