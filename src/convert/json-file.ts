// JSON files of a model folder, read within a limit and asked for their fields by type: what is missing or of another
// type is an error that names the file and the field. Knows no field by name.

import { readFileSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { isRecord } from "../lib/is-record.ts";
import { codeOf } from "../lib/system-error.ts";
import { AppError } from "../protocol/errors.ts";

/** tokenizer.json of the largest vocabularies (262,144 tokens with merges) has 35 MB; the rest are small. */
const JSON_BYTES_MAX = 128 * 1024 * 1024;

export function damagedModel(message: string, hint = "Fetch the file again."): AppError {
  return new AppError({ code: "model_damaged", message, hint });
}

/** The bytes of a file in a folder; null where there is none. */
export function readSmallFile(folder: string, name: string, bytesMax: number): Uint8Array | null {
  const path = join(folder, name);
  const stats = statIfThere(path);
  if (stats === null) return null;
  if (!stats.isFile()) throw damagedModel(`${path} is not a regular file`, "Put the file itself there.");
  if (stats.size > bytesMax) throw damagedModel(`${path} has ${stats.size} bytes; at most ${bytesMax} are read`);
  return orUnreadable(path, () => readFileSync(path));
}

/** What the system refuses is an error that names the path. */
export function orUnreadable<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw damagedModel(`${path} can't be read: ${why}`, "Check that it is there, and its permissions.");
  }
}

/** The text of a file in a folder; null where there is none. */
export function readTextFile(folder: string, name: string): string | null {
  const bytes = readSmallFile(folder, name, JSON_BYTES_MAX);
  return bytes === null ? null : new TextDecoder().decode(bytes);
}

/** Null where there is no such file. */
export function readJsonFile(folder: string, name: string): Fields | null {
  const text = readTextFile(folder, name);
  if (text === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw damagedModel(`${name} is not JSON: ${why.slice(0, 120)}`);
  }
  if (!isRecord(value)) throw damagedModel(`${name} holds no JSON object`);
  return new Fields(name, value);
}

function statIfThere(path: string): Stats | null {
  try {
    return statSync(path);
  } catch (thrown) {
    const code = codeOf(thrown);
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    return orUnreadable(path, () => {
      throw thrown;
    });
  }
}

/** A JSON object that knows where it comes from. JSON's null counts as not there. */
export class Fields {
  /** The file, and the field within it, for messages. */
  readonly source: string;
  readonly values: Readonly<Record<string, unknown>>;

  constructor(source: string, values: Readonly<Record<string, unknown>>) {
    this.source = source;
    this.values = values;
  }

  /** The same with other values for some fields. */
  with(values: Readonly<Record<string, unknown>>): Fields {
    return new Fields(this.source, { ...this.values, ...values });
  }

  value(name: string): unknown {
    return Object.hasOwn(this.values, name) ? (this.values[name] ?? null) : null;
  }

  /** A whole number from 1 on, such as a size. */
  size(name: string): number | null {
    const value = this.value(name);
    if (value === null) return null;
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 1 || value > 0xffff_ffff) {
      throw this.wrong(name, "a whole number from 1 to 4294967295");
    }
    return value;
  }

  requiredSize(name: string): number {
    const value = this.size(name);
    if (value === null) throw damagedModel(`${this.source} lacks "${name}"`, "Fetch the whole folder again.");
    return value;
  }

  number(name: string): number | null {
    const value = this.value(name);
    if (value === null) return null;
    if (typeof value !== "number" || !Number.isFinite(value)) throw this.wrong(name, "a number");
    return value;
  }

  text(name: string): string | null {
    const value = this.value(name);
    return typeof value === "string" ? value : null;
  }

  truth(name: string): boolean | null {
    const value = this.value(name);
    return typeof value === "boolean" ? value : null;
  }

  object(name: string): Fields | null {
    const value = this.value(name);
    if (value === null) return null;
    if (!isRecord(value)) throw this.wrong(name, "an object");
    return new Fields(`${this.source}: ${name}`, value);
  }

  /** Empty where there is none. */
  list(name: string): readonly unknown[] {
    const value = this.value(name);
    if (value === null) return [];
    if (!Array.isArray(value)) throw this.wrong(name, "a list");
    return value;
  }

  wrong(name: string, expected: string): AppError {
    const shown = JSON.stringify(this.value(name))?.slice(0, 60);
    return damagedModel(`${this.source}: "${name}" must be ${expected}, not ${shown}`, "Correct or fetch the file.");
  }
}
