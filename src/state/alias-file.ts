// Names that were given to models while the server ran, in one small JSON file that outlives it: read once, written
// whole and swapped in, so that a crash leaves the old one or the new one. Knows nothing of models.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Logger } from "../lib/log.ts";
import { AppError } from "../protocol/errors.ts";

/** Nobody names more by hand; a program that copies in a loop must not grow the file without end. */
const ALIASES_MAX = 1000;

export class AliasFile {
  readonly #path: string;
  readonly #aliases: Map<string, string>;

  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#aliases = readAliasFile(path, log);
  }

  entries(): ReadonlyMap<string, string> {
    return this.#aliases;
  }

  /** Throws `invalid_request` when there are too many, `internal` when the file can't be written. */
  set(alias: string, model: string): void {
    if (this.#aliases.size >= ALIASES_MAX && !this.#aliases.has(alias)) {
      const message = `there are ${ALIASES_MAX} copied names already`;
      throw new AppError({ code: "invalid_request", message, hint: "Delete some of them." });
    }
    this.#write(new Map(this.#aliases).set(alias, model));
    this.#aliases.set(alias, model);
  }

  delete(alias: string): boolean {
    if (!this.#aliases.has(alias)) return false;
    const rest = new Map(this.#aliases);
    rest.delete(alias);
    this.#write(rest);
    return this.#aliases.delete(alias);
  }

  /** Before the change counts: what was answered must still be true after a restart. */
  #write(aliases: ReadonlyMap<string, string>): void {
    const fresh = `${this.#path}.${process.pid}.new`;
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      writeFileSync(fresh, `${JSON.stringify(Object.fromEntries(aliases), null, 2)}\n`, { mode: 0o600 });
      renameSync(fresh, this.#path);
    } catch (thrown) {
      const message = `the names could not be written to ${this.#path}: ${(thrown as Error).message}`;
      const hint = "Free disk space, or check the permissions of the state folder.";
      throw new AppError({ code: "internal", message, hint }, { cause: thrown });
    }
  }
}

/** A damaged file is set aside with one warning: the server can do without these names. */
function readAliasFile(path: string, log: Logger): Map<string, string> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    // ENOTDIR too: a service's HOME is often /dev/null.
    if (code !== "ENOENT" && code !== "ENOTDIR")
      log.warn(`the names in ${path} can't be read`, { error: String(thrown) });
    return new Map();
  }
  const aliases = parseAliases(text);
  if (aliases !== null) return aliases;
  const aside = `${path}.damaged`;
  try {
    renameSync(path, aside);
    log.warn(`the names in ${path} are damaged: the file is now ${aside}`);
  } catch (thrown) {
    log.warn(`the names in ${path} are damaged, and the file can't be set aside`, { error: String(thrown) });
  }
  return new Map();
}

/** Null: not what we write. */
function parseAliases(text: string): Map<string, string> | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (_broken) {
    // The caller says so, with the file's name.
    return null;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return null;
  const pairs = Object.entries(parsed).slice(0, ALIASES_MAX);
  return pairs.every((pair): pair is [string, string] => typeof pair[1] === "string") ? new Map(pairs) : null;
}
