// From what was found and read to what is listed: entries with unambiguous ids, and which one of them is the default. Pure.
// Looks at no file; what is listed is the registry's business.

import { NO_SETTINGS } from "../protocol/model-settings.ts";
import type { Companion, ReadModel } from "./companion.ts";
import { engineKeyOf, type ModelEntry } from "./entry.ts";
import { aliasesOf, type FoundModel } from "./found.ts";
import { describeManifest, toDescribed } from "./model-file/described.ts";

export function toEntry(
  { found, manifest, error, converted }: ReadModel,
  id: string,
  companions: readonly Companion[],
): ModelEntry {
  const { description } = found;
  const path = found.files[0] ?? "";
  const settings = description?.settings ?? NO_SETTINGS;
  return {
    ...(description === null ? manifest : describeManifest(manifest, description).manifest),
    id,
    aliases: aliasesOf(found).filter((alias) => alias !== id),
    givenNames: [],
    path,
    files: found.files,
    created: Math.floor(found.modifiedMs / 1000),
    sizeBytes: found.sizeBytes,
    companions,
    error: error ?? description?.hardware.refusal ?? null,
    explicit: found.explicit,
    conversion: converted === undefined || error !== null ? null : { file: converted },
    demo: false,
    place: found.place,
    described: description === null ? null : toDescribed(manifest, description),
    settings,
    engineKey: engineKeyOf(path, settings.engine),
    pinned: false,
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

/** The one that somebody chose, if it is there; the first `--model`, even a broken one (its error is the answer then); else the first that can generate. */
export function pickDefault(entries: readonly ModelEntry[], preferred: string | null = null): ModelEntry | null {
  const servable = entries.filter((entry) => entry.error === null);
  // Nobody who names no model has asked for a conversion.
  const ready = servable.filter(isReady);
  return (
    entries.find((entry) => entry.id === preferred) ??
    entries.find((entry) => entry.explicit) ??
    ready.find((entry) => entry.capabilities.completion) ??
    ready[0] ??
    servable.find((entry) => entry.capabilities.completion) ??
    servable[0] ??
    null
  );
}

/** In the order of the models. What a model file says comes first, then what names and paths say. */
export function chooseIds(models: readonly FoundModel[], taken: Set<string>): string[] {
  const ids = new Map<FoundModel, string>();
  for (const isDescribed of [true, false]) {
    for (const found of models) {
      if ((found.description !== null) === isDescribed) ids.set(found, chooseId(found, taken));
    }
  }
  return models.map((found) => ids.get(found) ?? found.name);
}

/** The plain name, else the path below its folder, else a number behind it: stable for a given set of files. */
export function chooseId(found: FoundModel, taken: Set<string>): string {
  let id = found.name;
  if (taken.has(id)) id = found.relativeName;
  for (let number = 2; taken.has(id); number++) id = `${found.relativeName}-${number}`;
  taken.add(id);
  return id;
}
