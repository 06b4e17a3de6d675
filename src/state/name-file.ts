// What was said of models' names while the server ran (further names, pins), each in one small JSON file that outlives it:
// read once, written whole and swapped in, so that a crash leaves the old one or the new one. Knows nothing of models.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Logger } from "../lib/log.ts";
import { AppError } from "../protocol/errors.ts";

/** Nobody names more by hand; a program that copies in a loop must not grow the file without end. */
const NAMES_MAX = 1000;

export class NameFile {
  readonly #path: string;
  readonly #what: string;
  readonly #names: Map<string, string>;

  /** `what`: such as `copied names`, for messages. */
  constructor(path: string, what: string, log: Logger) {
    this.#path = path;
    this.#what = what;
    this.#names = readNames(path, what, log);
  }

  entries(): ReadonlyMap<string, string> {
    return this.#names;
  }

  /** Throws `invalid_request` when there are too many, `internal` when the file can't be written. */
  set(name: string, value: string): void {
    if (this.#names.size >= NAMES_MAX && !this.#names.has(name)) {
      const message = `there are ${NAMES_MAX} ${this.#what} already`;
      throw new AppError({ code: "invalid_request", message, hint: "Take some of them back." });
    }
    this.#write(new Map(this.#names).set(name, value));
    this.#names.set(name, value);
  }

  delete(name: string): boolean {
    if (!this.#names.has(name)) return false;
    const rest = new Map(this.#names);
    rest.delete(name);
    this.#write(rest);
    return this.#names.delete(name);
  }

  /** Before the change counts: what was answered must still be true after a restart. */
  #write(names: ReadonlyMap<string, string>): void {
    const fresh = `${this.#path}.${process.pid}.new`;
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      writeFileSync(fresh, `${JSON.stringify(Object.fromEntries(names), null, 2)}\n`, { mode: 0o600 });
      renameSync(fresh, this.#path);
    } catch (thrown) {
      const message = `the ${this.#what} could not be written to ${this.#path}: ${(thrown as Error).message}`;
      const hint = "Free disk space, or check the permissions of the state folder.";
      throw new AppError({ code: "internal", message, hint }, { cause: thrown });
    }
  }
}

/** A damaged file is set aside with one warning: the server can do without these names. */
function readNames(path: string, what: string, log: Logger): Map<string, string> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    // ENOTDIR too: a service's HOME is often /dev/null.
    if (code !== "ENOENT" && code !== "ENOTDIR")
      log.warn(`the ${what} in ${path} can't be read`, { error: String(thrown) });
    return new Map();
  }
  const names = parseNames(text);
  if (names !== null) return names;
  const aside = `${path}.damaged`;
  try {
    renameSync(path, aside);
    log.warn(`the ${what} in ${path} are damaged: the file is now ${aside}`);
  } catch (thrown) {
    log.warn(`the ${what} in ${path} are damaged, and the file can't be set aside`, { error: String(thrown) });
  }
  return new Map();
}

/** Null: not what we write. */
function parseNames(text: string): Map<string, string> | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (_broken) {
    // The caller says so, with the file's name.
    return null;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return null;
  const pairs = Object.entries(parsed).slice(0, NAMES_MAX);
  return pairs.every((pair): pair is [string, string] => typeof pair[1] === "string") ? new Map(pairs) : null;
}
