// Settings that somebody gave with a load: they hold for the model until it is unloaded, or loaded with others. Over what the
// model's own file says, under which the server's settings lie. Those of a load that failed are given up, and the ones before
// hold again. Kept in memory only.

import { engineKeyOf, type ModelEntry } from "../models/entry.ts";
import type { EngineChanges } from "../protocol/model-settings.ts";

export class LoadChanges {
  /** By the key that the model has without them. The last one holds; those before it do when its load fails. */
  readonly #changes = new Map<string, readonly EngineChanges[]>();

  apply(entry: ModelEntry): ModelEntry {
    const changes = this.#changes.get(entry.engineKey)?.at(-1);
    if (changes === undefined) return entry;
    const settings = { ...entry.settings, engine: { ...entry.settings.engine, ...changes } };
    return { ...entry, settings, engineKey: engineKeyOf(entry.path, settings.engine) };
  }

  /** Of the entry as it is listed, when its load begins. */
  try({ engineKey }: ModelEntry, changes: EngineChanges): void {
    this.#changes.set(engineKey, [...(this.#changes.get(engineKey) ?? []), changes]);
  }

  /** It is loaded: what was before is of no more use. */
  confirm({ engineKey }: ModelEntry, changes: EngineChanges): void {
    const known = this.#changes.get(engineKey) ?? [];
    const at = known.indexOf(changes);
    if (at > 0) this.#changes.set(engineKey, known.slice(at));
  }

  /** Its load failed. */
  withdraw({ engineKey }: ModelEntry, changes: EngineChanges): void {
    const left = (this.#changes.get(engineKey) ?? []).filter((known) => known !== changes);
    if (left.length === 0) this.#changes.delete(engineKey);
    else this.#changes.set(engineKey, left);
  }

  /** As its file and the server say again. */
  clear({ engineKey }: ModelEntry): void {
    this.#changes.delete(engineKey);
  }
}
