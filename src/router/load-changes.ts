// Settings that somebody gave with a load, or that a plan chose for one: they hold for the model until it is unloaded, or loaded
// with others. Over what the model's own file says, under which the server's settings lie. Kept in memory only.

import { engineKeyOf, type ModelEntry } from "../models/entry.ts";
import type { EngineChanges } from "../protocol/model-settings.ts";

/** `planned`: beside what was asked for, never in its place. */
interface Changes {
  asked: EngineChanges;
  planned: EngineChanges;
}

const NONE: Changes = { asked: {}, planned: {} };

export class LoadChanges {
  /** By the key that the model has without them. */
  readonly #changes = new Map<string, Changes>();

  apply(entry: ModelEntry): ModelEntry {
    const { asked, planned } = this.#of(entry);
    const settings = { ...entry.settings, engine: { ...planned, ...entry.settings.engine, ...asked } };
    const chosen = keysOf(planned).filter(
      (key) => entry.settings.engine[key] === undefined && asked[key] === undefined,
    );
    return this.#settle(entry, chosen.length === 0 ? settings : { ...settings, planned: chosen });
  }

  /** Without what a plan chose: for the next plan, which is free to choose it anew. */
  applyAsked(entry: ModelEntry): ModelEntry {
    const engine = { ...entry.settings.engine, ...this.#of(entry).asked };
    return this.#settle(entry, { ...entry.settings, engine });
  }

  /** Of the entry as it is listed; without any: as its file and the server say. What a plan chose before is forgotten. */
  set(entry: ModelEntry, asked: EngineChanges): void {
    this.#put(entry, { asked, planned: {} });
  }

  /** Beside what was asked for. Gives back what takes it back, unless there is something else by then. */
  setPlanned(entry: ModelEntry, planned: EngineChanges): () => void {
    const before = this.#of(entry);
    const now = { ...before, planned };
    this.#put(entry, now);
    return () => {
      if (this.#of(entry) === now) this.#put(entry, before);
    };
  }

  #of(entry: ModelEntry): Changes {
    return this.#changes.get(entry.engineKey) ?? NONE;
  }

  #put(entry: ModelEntry, changes: Changes): void {
    if (keysOf(changes.asked).length + keysOf(changes.planned).length === 0) this.#changes.delete(entry.engineKey);
    else this.#changes.set(entry.engineKey, changes);
  }

  #settle(entry: ModelEntry, settings: ModelEntry["settings"]): ModelEntry {
    if (!this.#changes.has(entry.engineKey)) return entry;
    return { ...entry, settings, engineKey: engineKeyOf(entry.path, settings.engine) };
  }
}

function keysOf(changes: EngineChanges): (keyof EngineChanges)[] {
  return Object.keys(changes) as (keyof EngineChanges)[];
}
