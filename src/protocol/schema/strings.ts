// Lowers strings: a pattern, a format, or a length; the grammar enforces one of them. Pure.

import type { Part, Relax } from "./conjunction.ts";
import { ANY_CHARACTER, lowerPattern, writeText } from "./pattern.ts";
import type { Lowered, SchemaObject } from "./relaxation.ts";

/** llama.cpp refuses to repeat anything more often. */
const LENGTH_MAX = 2000;

const DAYS = "(0[1-9]|1[0-9]|2[0-8])";
/** Without the 29th of February, which not every year has. */
const DATE = `[0-9]{4}-(02-${DAYS}|(0[469]|11)-(${DAYS}|29|30)|(0[13578]|1[02])-(${DAYS}|29|30|31))`;
const HOURS = "([01][0-9]|2[0-3])";
const TIME = `${HOURS}:[0-5][0-9]:[0-5][0-9]([.][0-9]{3})?(Z|[+-]${HOURS}:[0-5][0-9])`;
const BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?";
const HEX = "[0-9a-f]";

/** Formats that have a shape. What they mean beyond it (a real host, a real mail box) no validator checks either. */
const FORMATS: Readonly<Record<string, string>> = {
  date: `^${DATE}$`,
  time: `^${TIME}$`,
  "date-time": `^${DATE}T${TIME}$`,
  uuid: `^${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}$`,
  ipv4: `^${BYTE}([.]${BYTE}){3}$`,
  email: `^[A-Za-z0-9]([A-Za-z0-9_+-]|[.][A-Za-z0-9])*@(${LABEL}[.])+[A-Za-z]{2,10}$`,
  uri: `^https?://${LABEL}([.]${LABEL})*(:[1-9][0-9]{0,3})?(/[A-Za-z0-9._~-]*)*([?][A-Za-z0-9._~=&-]*)?(#[A-Za-z0-9._~-]*)?$`,
};

/** Formats that a validator knows and the grammar does not enforce. */
const UNENFORCED = new Set([
  ...["hostname", "idn-email", "idn-hostname", "ipv6", "uri-reference", "iri", "iri-reference", "uri-template"],
  ...["json-pointer", "relative-json-pointer", "regex", "duration", "byte"],
]);

/** Whether a format is one of texts; `int32` and the like are not. */
export function isTextFormat(format: unknown): boolean {
  return typeof format === "string" && (Object.hasOwn(FORMATS, format) || UNENFORCED.has(format));
}

/** `writesTexts`: patterns come as GBNF of the text too, for formats that do not write it as JSON. */
export function lowerString(parts: readonly Part[], relax: Relax, writesTexts: boolean): Lowered {
  const { min, max } = readLengths(parts);
  if (min > max) return null;
  const patterns = readPatterns(parts, relax);
  const [chosen, ...others] = patterns;
  for (const { path, keyword } of others) relax({ path, keyword, reason: "the grammar enforces one pattern" });
  if (chosen === undefined) return withLength(parts, min, max, relax);
  for (const { schema, path } of parts) {
    for (const keyword of ["minLength", "maxLength"]) {
      if (isCount(schema[keyword]) && !isTrivial(keyword, schema[keyword])) {
        relax({ path, keyword, reason: "the grammar enforces a pattern or a length" });
      }
    }
  }
  const text = writesTexts ? writeText(chosen.source) : null;
  return { type: "string", pattern: chosen.pattern, ...(text === null ? {} : { "x-text": text }) };
}

interface Chosen {
  path: string;
  keyword: "pattern" | "format";
  pattern: string;
  /** The regular expression that it was. */
  source: string;
}

/** Patterns first, then formats: a pattern is the more particular. */
function readPatterns(parts: readonly Part[], relax: Relax): Chosen[] {
  const found = new Map<string, Chosen>();
  for (const { schema, path } of parts) {
    if (schema.pattern === undefined || schema.pattern === "") continue;
    const lowered =
      typeof schema.pattern === "string"
        ? lowerPattern(schema.pattern)
        : ({ kind: "none", reason: "it is not a text" } as const);
    if (lowered.kind !== "exact") relax({ path, keyword: "pattern", reason: lowered.reason });
    if (lowered.kind === "none") continue;
    const source = String(schema.pattern);
    found.set(lowered.pattern, { path, keyword: "pattern", pattern: lowered.pattern, source });
  }
  for (const { schema, path } of parts) {
    const { format } = schema;
    if (typeof format !== "string") continue;
    const pattern = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
    if (UNENFORCED.has(format)) relax({ path, keyword: "format", reason: `the grammar does not know ${format}` });
    else if (pattern !== undefined) {
      found.set(pattern, { path, keyword: "format", pattern: writeFormat(pattern), source: pattern });
    }
  }
  return [...found.values()];
}

/** Ours are regular expressions like the others, each rewritten once. */
const written = new Map<string, string>();

function writeFormat(pattern: string): string {
  const known = written.get(pattern);
  if (known !== undefined) return known;
  const lowered = lowerPattern(pattern);
  if (lowered.kind !== "exact") throw new Error(`the pattern of a format can't be lowered: ${lowered.reason}`);
  written.set(pattern, lowered.pattern);
  return lowered.pattern;
}

function withLength(parts: readonly Part[], min: number, max: number, relax: Relax): SchemaObject {
  const enforced = { minLength: min <= LENGTH_MAX && min > 0, maxLength: max <= LENGTH_MAX };
  for (const { schema, path } of parts) {
    for (const keyword of ["minLength", "maxLength"] as const) {
      if (!isCount(schema[keyword]) || enforced[keyword] || isTrivial(keyword, schema[keyword])) continue;
      relax({ path, keyword, reason: `the grammar counts up to ${LENGTH_MAX} characters` });
    }
  }
  if (!enforced.minLength && !enforced.maxLength) return { type: "string" };
  return { type: "string", pattern: writeLength(enforced.minLength ? min : 0, enforced.maxLength ? max : null) };
}

/** As a pattern: llama.cpp counts `\ud83d\ude00` as two characters, readers of JSON count one. */
function writeLength(min: number, max: number | null): string {
  if (max === 0) return "^$";
  return max === null ? `^${ANY_CHARACTER}{${min}}${ANY_CHARACTER}*$` : `^${ANY_CHARACTER}{${min},${max}}$`;
}

function readLengths(parts: readonly Part[]): { min: number; max: number } {
  const counts = (keyword: string) => parts.map(({ schema }) => schema[keyword]).filter(isCount);
  return { min: Math.max(0, ...counts("minLength")), max: Math.min(Number.POSITIVE_INFINITY, ...counts("maxLength")) };
}

function isTrivial(keyword: string, count: number): boolean {
  return keyword === "minLength" && count === 0;
}

export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}
