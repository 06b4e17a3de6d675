// Which tokens begin, end and pad a text, and whether they are put around it: from the names in tokenizer_config.json,
// the template in tokenizer.json's post-processor and the ids in config.json, in that order, as llama.cpp's converter
// weighs them.

import type { GgufEntry } from "../../formats/gguf/write-header.ts";
import { isRecord } from "../../lib/is-record.ts";
import { Fields } from "../json-file.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";

/** Kinds in the order in which they are looked for, and GGUF's names of those that it has. */
const KINDS: readonly string[] = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"];
const ID_KEYS: ReadonlyMap<string, string> = new Map([
  ["bos", "bos_token_id"],
  ["eos", "eos_token_id"],
  ["unk", "unknown_token_id"],
  // Misspelled in GGUF from the start.
  ["sep", "seperator_token_id"],
  ["pad", "padding_token_id"],
  ["mask", "mask_token_id"],
  ["eot", "eot_token_id"],
  ["eom", "eom_token_id"],
]);
const ADDED_KINDS: readonly string[] = ["bos", "eos", "sep"];

interface Findings {
  kinds: string[];
  /** Texts of the tokens by kind. */
  names: Map<string, string>;
  /** Put around texts, by kind. */
  adds: Map<string, boolean>;
}

/** `idsMax`: ids from there on are left out; null takes all. */
export function planSpecialTokens(files: TokenizerFiles, idsMax: number | null): [string, GgufEntry][] {
  const findings: Findings = { kinds: [...KINDS], names: readNames(files.settings), adds: new Map() };
  if (files.tokenizer !== null) readPostProcessor(files.tokenizer, findings, files.settings !== null);
  const ids = new Map<string, number>();
  const set = (kind: string, id: unknown) => {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || ids.has(kind)) return;
    if (idsMax === null || id < idsMax) ids.set(kind, id);
  };
  if (files.settings !== null) {
    const added = files.tokenizer?.list("added_tokens").filter(isRecord) ?? [];
    for (const kind of findings.kinds) {
      const adds = files.settings.truth(`add_${kind}_token`);
      if (adds !== null) findings.adds.set(kind, adds);
      const name = findings.names.get(kind);
      if (name !== undefined) set(kind, added.find((token) => token.content === name)?.id);
    }
  }
  for (const kind of findings.kinds) set(kind, files.config.value(`${kind}_token_id`));
  return [...encodeIds(ids), ...encodeAdds(findings.adds)];
}

function encodeIds(ids: ReadonlyMap<string, number>): [string, GgufEntry][] {
  return [...ids].flatMap(([kind, value]): [string, GgufEntry][] => {
    const key = ID_KEYS.get(kind);
    return key === undefined ? [] : [[`tokenizer.ggml.${key}`, { type: "u32", value }]];
  });
}

function encodeAdds(adds: ReadonlyMap<string, boolean>): [string, GgufEntry][] {
  return [...adds]
    .filter(([kind]) => ADDED_KINDS.includes(kind))
    .map(([kind, value]) => [`tokenizer.ggml.add_${kind}_token`, { type: "bool", value }]);
}

/** A name is a text, or an object around it. */
function readNames(settings: Fields | null): Map<string, string> {
  const names = new Map<string, string>();
  for (const kind of KINDS) {
    const value = settings?.value(`${kind}_token`) ?? null;
    const content = isRecord(value) ? value.content : value;
    if (typeof content === "string" && content !== "") names.set(kind, content);
  }
  return names;
}

function readPostProcessor(tokenizer: Fields, findings: Findings, hasSettings: boolean): void {
  const { names } = findings;
  const stand = (kind: string, other: string) => {
    const name = names.get(other);
    if (!names.has(kind) && name !== undefined) names.set(kind, name);
  };
  stand("bos", "cls");
  stand("eos", "sep");
  const processor = tokenizer.object("post_processor");
  if (processor === null) return;
  const nested = processor.value("processors");
  const all = Array.isArray(nested) ? nested.filter(isRecord) : [processor.values];
  for (const values of all) {
    const step = new Fields("tokenizer.json: post_processor", values);
    if (step.text("type") === "RobertaProcessing") {
      for (const kind of ADDED_KINDS) findings.adds.set(kind, true);
      stand("cls", "bos");
      stand("sep", "eos");
    }
    if (step.text("type") === "TemplateProcessing") readTemplate(step, findings, hasSettings);
  }
}

/** What a simple template puts before and behind one text, and between two. */
function readTemplate(step: Fields, findings: Findings, hasSettings: boolean): void {
  const { names, adds } = findings;
  const single = step.list("single");
  const first = single.length > 1 ? specialOf(single[0]) : null;
  const last = single.length > 1 ? specialOf(single.at(-1)) : null;
  if (first !== null) {
    if (!hasSettings) names.set("bos", first);
    else if (first !== names.get("bos") && first !== names.get("cls")) {
      if (!names.has("bos")) names.set("bos", first);
      if (!names.has("cls")) names.set("cls", first);
    }
    adds.set("bos", first === names.get("bos") || first === names.get("cls"));
  }
  if (last !== null) {
    if (hasSettings && last !== names.get("eos")) keepFormerEnd(findings);
    names.set("eos", last);
    adds.set("eos", true);
  }
  readPair(step.list("pair"), first, last, findings);
}

/** The end that tokenizer_config.json names is one of turns where the template has another. */
function keepFormerEnd({ kinds, names }: Findings): void {
  const spare = ["eot", "eom"].find((kind) => !kinds.includes(kind));
  const former = names.get("eos");
  if (spare === undefined) return;
  kinds.push(spare);
  if (former !== undefined) names.set(spare, former);
}

function readPair(pair: readonly unknown[], first: string | null, last: string | null, findings: Findings): void {
  if (pair.length === 0) return;
  const start = first !== null && specialOf(pair[0]) === first ? 1 : 0;
  const end = last !== null && specialOf(pair.at(-1)) === last ? pair.length - 1 : pair.length;
  const inner = pair.slice(start, end);
  const between = inner.slice(1, -1);
  if (sequenceOf(inner[0]) !== "A" || sequenceOf(inner.at(-1)) !== "B" || between.length === 0) return;
  const { names, adds } = findings;
  const separates = (item: unknown): boolean => {
    const name = specialOf(item);
    return name !== null && (name === names.get("sep") || name === names.get("eos"));
  };
  const separated = (separates(between[0]) && last === null) || (between.length === 2 && separates(between[1]));
  adds.set("sep", separated);
  const end2 = names.get("eos");
  if (separated && !names.has("sep") && end2 !== undefined) names.set("sep", end2);
}

const specialOf = (item: unknown): string | null => idOf(item, "SpecialToken");
const sequenceOf = (item: unknown): string | null => idOf(item, "Sequence");

function idOf(item: unknown, kind: string): string | null {
  const inner = isRecord(item) ? item[kind] : null;
  return isRecord(inner) && typeof inner.id === "string" ? inner.id : null;
}
