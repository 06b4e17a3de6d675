// Settings that somebody gave with a load, or that a plan chose for one: they hold for the model until it is unloaded, or loaded
// with others. Over what the model's own file says, under which the server's settings lie. Those of a load that failed are given
// up, and the ones before hold again. Kept in memory only.

import { engineKeyOf, type ModelEntry } from "../../models/entry.ts";
import type { EngineChanges } from "../../protocol/model-settings.ts";

/** `planned`: beside what was asked for, never in its place. */
export interface Changes {
  asked: EngineChanges;
  planned: EngineChanges;
}

const NONE: Changes = { asked: {}, planned: {} };

export class LoadChanges {
  /** By the key that the model has without them. The last ones hold; those before them do when their load fails. */
  readonly #changes = new Map<string, readonly Changes[]>();

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

  /**
   * Of the entry as it is listed, when its load begins. What is asked for anew ends what a plan chose before. Null: the load
   * changes nothing.
   */
  try(entry: ModelEntry, { asked, planned }: Partial<Changes>): Changes | null {
    if (asked === undefined && planned === undefined) return null;
    const before = this.#of(entry);
    const now = {
      asked: asked ?? before.asked,
      planned: planned ?? (asked === undefined ? before.planned : {}),
    };
    this.#changes.set(entry.engineKey, [...(this.#changes.get(entry.engineKey) ?? []), now]);
    return now;
  }

  /** It is loaded: what was before is of no more use. */
  confirm({ engineKey }: ModelEntry, changes: Changes): void {
    const known = this.#changes.get(engineKey) ?? [];
    const at = known.indexOf(changes);
    if (at > 0) this.#changes.set(engineKey, known.slice(at));
  }

  /** Its load failed. */
  withdraw({ engineKey }: ModelEntry, changes: Changes): void {
    const left = (this.#changes.get(engineKey) ?? []).filter((known) => known !== changes);
    if (left.length === 0) this.#changes.delete(engineKey);
    else this.#changes.set(engineKey, left);
  }

  /** As its file and the server say again. */
  clear({ engineKey }: ModelEntry): void {
    this.#changes.delete(engineKey);
  }

  #of({ engineKey }: ModelEntry): Changes {
    return this.#changes.get(engineKey)?.at(-1) ?? NONE;
  }

  #settle(entry: ModelEntry, settings: ModelEntry["settings"]): ModelEntry {
    const { asked, planned } = this.#of(entry);
    if (keysOf(asked).length + keysOf(planned).length === 0) return entry;
    return { ...entry, settings, engineKey: engineKeyOf(entry.path, settings.engine) };
  }
}

function keysOf(changes: EngineChanges): (keyof EngineChanges)[] {
  return Object.keys(changes) as (keyof EngineChanges)[];
}
