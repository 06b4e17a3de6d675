// From what was found and read to what is listed: entries with unambiguous ids, and which one of them is the default. Pure.

import type { Companion, ReadModel } from "./companion.ts";
import type { ModelEntry } from "./entry.ts";
import { aliasesOf, type FoundModel } from "./found.ts";

export function toEntry(
  { found, manifest, error, converted }: ReadModel,
  id: string,
  companions: readonly Companion[],
): ModelEntry {
  return {
    ...manifest,
    id,
    aliases: aliasesOf(found).filter((alias) => alias !== id),
    givenNames: [],
    path: found.files[0] ?? "",
    files: found.files,
    created: Math.floor(found.modifiedMs / 1000),
    sizeBytes: found.sizeBytes,
    companions,
    error,
    explicit: found.explicit,
    conversion: converted === undefined || error !== null ? null : { file: converted },
    demo: false,
  };
}

/** Of a file as it is now: another size or date is another key. */
export function keyOf({ files, sizeBytes, modifiedMs }: FoundModel): string {
  return JSON.stringify([files, sizeBytes, modifiedMs]);
}

/** It can be served without a conversion before. */
export function isReady({ error, conversion }: ModelEntry): boolean {
  return error === null && conversion?.file !== null;
}

/** The first `--model`, even a broken one (its error is the answer then); else the first that can generate. */
export function pickDefault(entries: readonly ModelEntry[]): ModelEntry | null {
  const servable = entries.filter((entry) => entry.error === null);
  // Nobody who names no model has asked for a conversion.
  const ready = servable.filter(isReady);
  return (
    entries.find((entry) => entry.explicit) ??
    ready.find((entry) => entry.capabilities.completion) ??
    ready[0] ??
    servable.find((entry) => entry.capabilities.completion) ??
    servable[0] ??
    null
  );
}

/** The plain name, else the path below its folder, else a number behind it: stable for a given set of files. */
export function chooseId(found: FoundModel, taken: Set<string>): string {
  let id = found.name;
  if (taken.has(id)) id = found.relativeName;
  for (let number = 2; taken.has(id); number++) id = `${found.relativeName}-${number}`;
  taken.add(id);
  return id;
}
