// The places of models' engines, by what shapes an engine: two names of one file with the same settings have one place. Knows
// which engines nobody can ask for any more; what becomes of a place's engine is decided elsewhere.

import type { ModelEntry } from "../../models/entry.ts";
import { createPlace, type FileFacts, holdsMemory, type Place } from "./place.ts";

type Listed = Pick<ModelEntry, "id" | "engineKey" | "path" | "settings">;

export class Places {
  readonly #places = new Map<string, Place>();

  all(): Place[] {
    return [...this.#places.values()];
  }

  entries(): [engineKey: string, place: Place][] {
    return [...this.#places];
  }

  find(engineKey: string): Place | null {
    return this.#places.get(engineKey) ?? null;
  }

  /** Of a model that is asked for. What it had with other settings stays: it is not known yet whether this can be loaded. */
  of(entry: Omit<Listed, "path">): Place {
    let place = this.#places.get(entry.engineKey);
    if (place === undefined) {
      place = createPlace(entry.id, entry.settings.engine);
      this.#places.set(entry.engineKey, place);
    }
    place.id = entry.id;
    return place;
  }

  /** That of the model's requests, and those of its file that nobody can ask for any more. Another name's own is none of them. */
  ofModel(
    { engineKey, path }: Pick<ModelEntry, "engineKey" | "path">,
    listed: readonly Pick<ModelEntry, "engineKey">[],
  ): [engineKey: string, place: Place][] {
    const wanted = listKeys(listed);
    return this.entries().filter(([key]) => key === engineKey || (isOf(key, path) && !wanted.has(key)));
  }

  /** Those that an engine of this model takes the place of: of the same file, with settings that no listed model has any more. */
  replacedBy(
    entry: Pick<ModelEntry, "engineKey" | "path">,
    listed: readonly Pick<ModelEntry, "engineKey">[],
  ): string[] {
    const own = this.ofModel(entry, listed).map(([key]) => key);
    return own.filter((key) => key !== entry.engineKey);
  }

  /**
   * Settings that nobody has any more would else be remembered for ever, with what went wrong with them. That the model was
   * asked for, and what its engine left, is then told of the settings that it has.
   */
  forget(listListed: () => readonly Listed[], isWaitedFor: (engineKey: string) => boolean): void {
    const empty = this.entries().filter(([key, place]) => !holdsMemory(place) && !isWaitedFor(key));
    if (empty.length === 0) return;
    const listed = listListed();
    const wanted = listKeys(listed);
    for (const [key, place] of empty.filter(([key]) => !wanted.has(key))) {
      this.#places.delete(key);
      const entry = listed.find(({ id, path }) => id === place.id && isOf(key, path));
      if (entry === undefined) continue;
      const heir = this.#places.get(entry.engineKey) ?? createPlace(entry.id, entry.settings.engine);
      this.#places.set(entry.engineKey, heir);
      if (holdsMemory(heir)) continue;
      heir.slept ??= place.slept;
      heir.tenure.freed ??= place.tenure.freed;
    }
  }

  /** Engines have their file open still: they go when their requests have ended. */
  leave(path: string): void {
    this.#leave((key) => isOf(key, path));
  }

  /** Engines that nobody can ask for any more, but those in `kept`; and those of a file that another one has replaced. */
  leaveUnlisted(listed: readonly (Pick<ModelEntry, "engineKey"> & FileFacts)[], kept: readonly string[]): void {
    const now = new Map(listed.map((entry) => [entry.engineKey, entry]));
    this.#leave((key, { file }) => {
      const entry = now.get(key);
      if (entry === undefined) return !kept.includes(key);
      return file !== null && (file.created !== entry.created || file.sizeBytes !== entry.sizeBytes);
    });
  }

  #leave(isMeant: (engineKey: string, place: Place) => boolean): void {
    for (const [key, place] of this.#places) {
      if (isMeant(key, place)) place.sleep?.setAfter(0);
    }
  }
}

function listKeys(listed: readonly Pick<ModelEntry, "engineKey">[]): Set<string> {
  return new Set(listed.map(({ engineKey }) => engineKey));
}

/** A key is the file's path, alone or with settings in the next line. */
function isOf(engineKey: string, path: string): boolean {
  return engineKey === path || engineKey.startsWith(`${path}\n`);
}
