// What models took beside what was planned, in one small JSON file that outlives the server. A file that can't be read or
// written costs what was learned and nothing else. Knows nothing of plans.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { isRecord } from "../lib/is-record.ts";
import type { Logger } from "../lib/log.ts";

interface Deviation {
  plannedBytes: number;
  measuredBytes: number;
  loads: number;
  atMs: number;
}

/** About 300 bytes each; a model has some for each set of settings that it was ever loaded with. */
const ENTRIES_MAX = 500;

export class DeviationFile {
  readonly #path: string;
  readonly #log: Logger;
  /** The one that was set last is the last. */
  readonly #entries: Map<string, Deviation>;

  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
    this.#entries = new Map(readEntries(path));
  }

  entries(): ReadonlyMap<string, Deviation> {
    return this.#entries;
  }

  set(key: string, deviation: Deviation): void {
    this.#entries.delete(key);
    this.#entries.set(key, deviation);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= ENTRIES_MAX) break;
      this.#entries.delete(oldest);
    }
    const fresh = `${this.#path}.${process.pid}.new`;
    try {
      mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      writeFileSync(fresh, JSON.stringify([...this.#entries]), { mode: 0o600 });
      renameSync(fresh, this.#path);
    } catch (thrown) {
      this.#log.warn("what models take can't be kept for the next start", { error: String(thrown) });
    }
  }
}

function readEntries(path: string): [string, Deviation][] {
  try {
    const stored: unknown = JSON.parse(readFileSync(path, "utf8"));
    return Array.isArray(stored) ? stored.filter(isEntry).slice(-ENTRIES_MAX) : [];
  } catch (_absent) {
    // Never written, or damaged: it is learned again.
    return [];
  }
}

function isEntry(value: unknown): value is [string, Deviation] {
  if (!Array.isArray(value) || typeof value[0] !== "string" || !isRecord(value[1])) return false;
  const { plannedBytes, measuredBytes, loads, atMs } = value[1];
  return [plannedBytes, measuredBytes, loads, atMs].every(Number.isFinite);
}
