// How this folder reads the system: files as text, and what a folder holds. Everything else here is pure, so that machines
// that are not at hand can be tested from recorded files.

import { readdirSync, readFileSync } from "node:fs";

/** A file's text; null: it is not there, or may not be read. */
export type ReadText = (path: string) => string | null;

export interface SystemReader {
  text: ReadText;
  /** Names in a folder, sorted; empty where there is none. */
  list(folder: string): string[];
}

/** Notes why a figure is null, under its path in the snapshot, and is that null. */
export type Explain = (path: string, reason: string) => null;

export const systemReader: SystemReader = {
  text(path) {
    try {
      return readFileSync(path, "utf8");
    } catch (_absent) {
      // Another system, another driver, or no permission.
      return null;
    }
  },
  list(folder) {
    try {
      return readdirSync(folder).sort();
    } catch (_absent) {
      // Likewise.
      return [];
    }
  },
};

/** A whole number that is not negative, alone in its file; null: anything else. */
export function parseCount(text: string | null): number | null {
  const trimmed = text?.trim() ?? "";
  return /^\d{1,20}$/.test(trimmed) ? Number(trimmed) : null;
}

/** As `0-3,8,10-11`; null: no such list. */
export function parseCpuList(text: string | null): number[] | null {
  const trimmed = text?.trim() ?? "";
  if (!/^\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*$/.test(trimmed)) return null;
  return trimmed.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => first + at);
  });
}

export function createExplain(unknown: Record<string, string>): Explain {
  return (path, reason) => {
    unknown[path] = reason;
    return null;
  };
}
