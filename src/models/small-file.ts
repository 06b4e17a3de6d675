// Reads the small text files that programs keep beside their models. Bounded: what is larger is not one of them.

import { readFileSync, statSync } from "node:fs";

/** Null: it is not there, can't be read, or is larger. */
export function readSmallText(path: string, bytesMax: number): string | null {
  try {
    const stats = statSync(path);
    return stats.isFile() && stats.size <= bytesMax ? readFileSync(path, "utf8") : null;
  } catch (_unreadable) {
    // What it would have told stays unknown.
    return null;
  }
}

/** The JSON object in a text; null: it holds none. */
export function parseJsonObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch (_notJson) {
    // Half-written or foreign: the caller says so.
    return null;
  }
}
