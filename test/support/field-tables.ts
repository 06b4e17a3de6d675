// The tables of request fields in docs/clients.md, made from the OpenAPI document and from what is known of fields that
// have no schema. Run by itself it writes them anew; a test compares. A field's status is what its description says.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LORA_FIELDS } from "../../src/api/lora-fields.ts";
import { MLO_FIELDS } from "../../src/api/mlo-fields.ts";
import { SAMPLING_FIELDS } from "../../src/api/openai/sampling.ts";
import { FIELD_SAMPLES } from "./field-samples.ts";
import { createTestApp, type Json, readJson } from "./http-app.ts";

export type Status = "supported" | "in part" | "ignored" | "refused";

export interface Field {
  /** Such as `messages[].content`. */
  path: string;
  takes: string;
  status: Status;
  note: string;
}

/** A request's schema, and the routes that take it. */
export interface FieldTable {
  routes: readonly string[];
  fields: readonly Field[];
}

const PAGE = join(import.meta.dir, "../../docs/clients.md");
const MARKS = ["<!-- fields: begin -->", "<!-- fields: end -->"] as const;
/** Enough to tell what a field takes; the rest is in the OpenAPI document. */
const WORDS_MAX = 6;

export async function listFieldTables(): Promise<FieldTable[]> {
  const document = await readJson(await createTestApp().get("/swagger/json"));
  const tables = new Map<string, { routes: string[]; fields: Field[] }>();
  for (const [path, methods] of Object.entries<Json>(document.paths)) {
    for (const [method, operation] of Object.entries<Json>(methods)) {
      const schema = operation.requestBody?.content["application/json"].schema;
      const name: string | undefined = schema?.$ref.split("/").at(-1);
      if (name === undefined) continue;
      const route = `${method.toUpperCase()} ${path}`;
      const known = tables.get(name);
      if (known !== undefined) known.routes.push(route);
      else
        tables.set(name, { routes: [route], fields: [...listFields(withoutNulls(document.components.schemas[name]))] });
    }
  }
  return [...tables.values()].map(({ routes, fields }) => ({ routes, fields: withUnknown(routes, fields) }));
}

/** With the fields that change nothing: most are in no schema. */
function withUnknown(routes: readonly string[], fields: Field[]): Field[] {
  const named = new Set(fields.map(({ path }) => path));
  const ignored = new Set(routes.flatMap((route) => Object.keys(FIELD_SAMPLES[route]?.ignored ?? {})));
  const unknown = [...ignored].filter((path) => !named.has(path));
  const known = fields.map((field): Field => (ignored.has(field.path) ? { ...field, status: "ignored" } : field));
  return [...known, ...unknown.map((path): Field => ({ path, takes: "", status: "ignored", note: "" }))];
}

/** That a field may also be null is said once, above the tables. */
function withoutNulls(schema: Json): Json {
  if (Array.isArray(schema)) return schema.filter((item) => item?.type !== "null").map(withoutNulls);
  if (typeof schema !== "object" || schema === null) return schema;
  const entries = Object.entries<Json>(schema).map(([key, value]) => {
    // Names of fields, such as `type`, are no words of the schema.
    if (key !== "properties") return [key, withoutNulls(value)] as const;
    return [key, Object.fromEntries(Object.entries<Json>(value).map(([name, field]) => [name, withoutNulls(field)]))];
  });
  const { type, anyOf, ...rest } = Object.fromEntries(entries);
  const types = Array.isArray(type) ? type.filter((name: string) => name !== "null") : [type];
  if (Array.isArray(anyOf) && anyOf.length === 1 && Array.isArray(schema.anyOf) && schema.anyOf.length > 1) {
    return { ...anyOf[0], ...rest };
  }
  return {
    ...rest,
    ...(type === undefined ? {} : { type: types.length === 1 ? types[0] : types }),
    ...(anyOf === undefined ? {} : { anyOf }),
  };
}

function* listFields(schema: Json, prefix = ""): Generator<Field> {
  if (schema.type === "array") yield* listFields(schema.items, `${prefix}[].`);
  for (const [name, field] of Object.entries<Json>(schema.properties ?? {})) {
    const path = `${prefix}${name}`;
    const note: string = field.description ?? "";
    yield { path, takes: describeType(field), status: readStatus(note), note };
    yield* listInner(field, path);
  }
}

/** The same name in two alternatives is one field. */
function* listInner(schema: Json, path: string): Generator<Field> {
  const inner = new Map<string, Field>();
  for (const alternative of schema.anyOf ?? [schema]) {
    const [object, prefix] =
      alternative.type === "array" ? [alternative.items, `${path}[].`] : [alternative, `${path}.`];
    for (const part of object.anyOf ?? [object]) {
      for (const field of listFields(part, prefix)) if (!inner.has(field.path)) inner.set(field.path, field);
    }
  }
  yield* inner.values();
}

function readStatus(note: string): Status {
  if (note.startsWith("Ignored")) return "ignored";
  if (note.startsWith("Refused")) return "refused";
  return /^Only .*supported/.test(note) ? "in part" : "supported";
}

function describeType(schema: Json): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.anyOf !== undefined) {
    const words = [...new Set<string>(schema.anyOf.map(describeType))];
    return words.length > WORDS_MAX ? `${words.slice(0, WORDS_MAX).join(", ")}, …` : words.join(", ");
  }
  if (schema.type === "array") return `[${describeType(schema.items)}]`;
  const { minimum, maximum } = schema;
  const range = [minimum, maximum].every((bound) => typeof bound === "number" && Math.abs(bound) < 1_000_000);
  return range ? `${schema.type} ${minimum} to ${maximum}` : (schema.type ?? "any JSON");
}

/** Fields that mean the same wherever text is generated: listed once. */
const SHARED = new Set(Object.keys({ ...SAMPLING_FIELDS, ...MLO_FIELDS, ...LORA_FIELDS }));
const isShared = ({ path }: Field): boolean => SHARED.has(path.split(/[.[]/)[0] ?? path);

/** The lines between the marks. */
export function writeTables(tables: readonly FieldTable[]): string {
  // The first table that has them says what they are.
  const shared = tables
    .find(({ fields }) => fields.some(({ path }) => path === "temperature"))
    ?.fields.filter(isShared);
  const common = { title: "Sampling and our own: wherever text is generated", fields: shared ?? [] };
  const own = tables.map(({ routes, fields }) => ({
    title: routes.map((route) => `\`${route}\``).join(", "),
    fields: fields.filter((field) => !isShared(field)),
    more: fields.some(isShared),
  }));
  return [...own, common].map(writeTable).join("\n");
}

interface Section {
  title: string;
  fields: readonly Field[];
  more?: boolean;
}

function writeTable({ title, fields, more }: Section): string {
  const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");
  const rows = fields.map(({ path, takes, status, note }) => {
    return `| \`${path}\` | ${cell(takes)} | ${status} | ${cell(note)} |`;
  });
  const last = more === true ? ["| the shared fields | | supported | the last table |"] : [];
  return [`### ${title}`, "", "| field | takes | | |", "|---|---|---|---|", ...rows, ...last, ""].join("\n");
}

/** What the page has between the marks. */
export function readTables(): string {
  return splitPage()[1];
}

function splitPage(): [before: string, tables: string, after: string] {
  const text = readFileSync(PAGE, "utf8");
  const [begin, end] = MARKS.map((mark) => text.indexOf(mark)) as [number, number];
  if (begin === -1 || end < begin) throw new Error(`${PAGE} has no place for the tables`);
  const start = begin + MARKS[0].length;
  return [text.slice(0, start), text.slice(start, end).trim(), text.slice(end)];
}

if (import.meta.main) {
  const tables = writeTables(await listFieldTables());
  const [before, , after] = splitPage();
  writeFileSync(PAGE, `${before}\n\n${tables}\n${after}`);
}
