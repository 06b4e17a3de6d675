// The places of models' engines, by what shapes an engine: two names of one file with the same settings have one place. Knows
// which engines nobody can ask for any more; what becomes of a place's engine is decided elsewhere.

import type { ModelEntry } from "../../models/entry.ts";
import { createPlace, type Place } from "./place.ts";

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

  /** Of a model that is asked for. Engines of the same file whose settings no listed model has any more go when they are idle. */
  of(
    entry: Pick<ModelEntry, "id" | "engineKey" | "path">,
    listed: readonly ModelEntry[],
    isWaitedFor: (engineKey: string) => boolean,
  ): Place {
    let place = this.#places.get(entry.engineKey);
    if (place === undefined) {
      place = createPlace(entry.id);
      this.#places.set(entry.engineKey, place);
      const wanted = new Set(listed.map(({ engineKey }) => engineKey));
      const isOld = (key: string) => isOf(key, entry.path) && key !== entry.engineKey && !wanted.has(key);
      this.#leave(isOld);
      // Settings that came with a load and have gone would else be remembered for ever.
      for (const [key, { engine, starting, leaving }] of this.#places) {
        if (isOld(key) && (engine ?? starting ?? leaving) === null && !isWaitedFor(key)) this.#places.delete(key);
      }
    }
    place.id = entry.id;
    return place;
  }

  /** Engines have their file open still: they go when their requests have ended. */
  leave(path: string): void {
    this.#leave((key) => isOf(key, path));
  }

  #leave(isMeant: (engineKey: string) => boolean): void {
    for (const [key, place] of this.#places) {
      if (isMeant(key)) place.sleep?.setAfter(0);
    }
  }
}

/** A key is the file's path, alone or with settings in the next line. */
function isOf(engineKey: string, path: string): boolean {
  return engineKey === path || engineKey.startsWith(`${path}\n`);
}
