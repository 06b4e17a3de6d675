// What an option is: its name in every source, its schema, its help. Pure; knows no particular option.
// The snake_case name is the config file's key; the flag and the environment variable derive from it.

import { z } from "zod";
import type { Folders } from "./paths.ts";

export interface OptionSpec<S extends z.ZodType = z.ZodType> {
  /** snake_case, as in the config file. */
  name: string;
  /** A `boolean` takes no value on the command line and has a `--no-` form; a `list` may be repeated. */
  kind: "value" | "list" | "boolean";
  /** The value's name in the help text; empty for booleans. */
  placeholder: string;
  description: string;
  /** What is allowed, in words: for help and error messages. */
  expected: string;
  schema: S;
  default: z.output<S> | ((folders: Folders) => z.output<S>);
  /** The environment variable, where it is not named by the rule. */
  variable?: string;
  /** Paths are made absolute, and a list of them in an environment variable is split like PATH. */
  paths?: boolean;
}

/** Values as the command line gives them, in order; a boolean's are `true` and `false`. Keys are snake_case. */
export type RawFlags = ReadonlyMap<string, readonly string[]>;

export const flagOf = (name: string): string => `--${name.replaceAll("_", "-")}`;
export const variableOf = ({ name, variable }: Pick<OptionSpec, "name" | "variable">): string =>
  variable ?? `ML_OFFLOAD_${name.toUpperCase()}`;

type Text = { name: string; placeholder: string; description: string };

/** A whole number. Sources give text or, in YAML, a number. */
export function integerOption(text: Text, min: number, max: number, standard: number) {
  const number = z.union([
    z.number(),
    z
      .string()
      .regex(/^-?\d+$/)
      .transform(Number),
  ]);
  const schema = number.pipe(z.number().int().min(min).max(max));
  const expected = `a whole number from ${min} to ${max}`;
  return { ...text, kind: "value", expected, schema, default: standard } satisfies OptionSpec<typeof schema>;
}

/** Seconds, fractions allowed. */
export function secondsOption(text: Text, min: number, max: number, standard: number) {
  const number = z.union([
    z.number(),
    z
      .string()
      .regex(/^\d+(\.\d+)?$/)
      .transform(Number),
  ]);
  const schema = number.pipe(z.number().min(min).max(max));
  const expected = `seconds from ${min} to ${max}`;
  return { ...text, kind: "value", expected, schema, default: standard } satisfies OptionSpec<typeof schema>;
}

const SIZE_UNITS: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, t: 1e12 };

/** Bytes, as a number or as `1.5GB`, in thousands as the Hub shows them; null: not given. */
export function sizeOption(text: Text) {
  const schema = z
    .string()
    .regex(/^\d{1,12}(\.\d{1,6})?\s?[kmgt]?b?$/i)
    .transform((size): number | null => {
      const unit = /[kmgt]/i.exec(size)?.[0].toLowerCase() ?? "";
      return Math.round(Number.parseFloat(size) * (SIZE_UNITS[unit] ?? 1));
    });
  const expected = "a size such as 500MB or 8GB";
  return { ...text, kind: "value" as const, expected, schema, default: null };
}

/** `others`: further words, and YAML's booleans, by what they mean. */
export function choiceOption<const T extends readonly string[]>(
  text: Text,
  choices: T,
  standard: T[number],
  others: Readonly<Record<string, T[number]>> = {},
) {
  const schema = z.preprocess((value) => others[String(value)] ?? value, z.enum(choices));
  const expected = `one of ${choices.join(", ")}`;
  return { ...text, kind: "value" as const, expected, schema, default: standard };
}

export function textOption(text: Text, pattern: RegExp, expected: string, standard: string) {
  const schema = z.string().regex(pattern);
  return { ...text, kind: "value", expected, schema, default: standard } satisfies OptionSpec<typeof schema>;
}

/** Repeatable; `pattern` holds for each element. */
export function listOption(text: Text, pattern: RegExp, expected: string) {
  const schema = z.array(z.string().regex(pattern)).max(LIST_LENGTH_MAX).readonly();
  return { ...text, kind: "list", expected, schema, default: [] } satisfies OptionSpec<typeof schema>;
}

/** Repeatable paths; the default may depend on the standard folders. */
export function pathsOption(text: Text, standard: (folders: Folders) => readonly string[]) {
  const schema = z.array(z.string().min(1)).max(LIST_LENGTH_MAX).readonly();
  const expected = "a path";
  const spec: OptionSpec<typeof schema> = { ...text, kind: "list", expected, schema, default: standard, paths: true };
  return spec;
}

/** One path; null where none is given. */
export function pathOption(text: Text) {
  const schema = z.string().min(1).nullable();
  const spec: OptionSpec<typeof schema> = {
    ...text,
    kind: "value",
    expected: "a path",
    schema,
    default: null,
    paths: true,
  };
  return spec;
}

/** What a source gave for an option of paths, made absolute. */
export function resolvePaths(value: unknown, toPath: (path: string) => string): unknown {
  return Array.isArray(value) ? value.map(toPath) : toPath(value as string);
}

export function booleanOption(name: string, description: string) {
  const word = z.string().toLowerCase();
  const truth = word.pipe(z.enum(["true", "1", "yes", "on", "false", "0", "no", "off"]));
  const schema = z.union([z.boolean(), truth.transform((text) => ["true", "1", "yes", "on"].includes(text))]);
  const expected = "true or false";
  const text: Text = { name, placeholder: "", description };
  const spec: OptionSpec<typeof schema> = { ...text, kind: "boolean", expected, schema, default: false };
  return spec;
}

/** On by default or not: takes a value, so that it reads `--kv-store off`. YAML's own booleans do as well. */
export function switchOption(text: Omit<Text, "placeholder">, standard: boolean) {
  const word = z.string().toLowerCase();
  const schema = z.union([z.boolean(), word.pipe(z.enum(["on", "off"])).transform((value) => value === "on")]);
  const spec = { ...text, placeholder: "on|off", kind: "value" as const, expected: "on or off", schema };
  return { ...spec, default: standard } satisfies OptionSpec<typeof schema>;
}

/** Nobody names more by hand; a longer list is a mistake such as an unquoted glob over a disk. */
const LIST_LENGTH_MAX = 1024;
