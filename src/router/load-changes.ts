// Settings that somebody gave with a load: they hold for the model until it is unloaded, or loaded with others. Over what the
// model's own file says, under which the server's settings lie. Kept in memory only.

import { engineKeyOf, type ModelEntry } from "../models/entry.ts";
import type { EngineChanges } from "../protocol/model-settings.ts";

export class LoadChanges {
  /** By the key that the model has without them. */
  readonly #changes = new Map<string, EngineChanges>();

  apply(entry: ModelEntry): ModelEntry {
    const changes = this.#changes.get(entry.engineKey);
    if (changes === undefined) return entry;
    const settings = { ...entry.settings, engine: { ...entry.settings.engine, ...changes } };
    return { ...entry, settings, engineKey: engineKeyOf(entry.path, settings.engine) };
  }

  /** Of the entry as it is listed; without any: as its file and the server say. */
  set(entry: ModelEntry, changes: EngineChanges): void {
    if (Object.keys(changes).length === 0) this.#changes.delete(entry.engineKey);
    else this.#changes.set(entry.engineKey, changes);
  }
}
