// Names → models, as they are at one moment: ids first, then the names that people gave, then those of files. A name
// never hides an id, and one that a person gave hides a file's. Pure; what the models are is the registry's business.

import type { ModelEntry } from "./entry.ts";

export interface NameIndex {
  byName: Map<string, ModelEntry>;
  /** Lower-cased names; null where two models differ by case only. */
  byFoldedName: Map<string, ModelEntry | null>;
  /** Given names of models that are not there: name → the model that it stands for. */
  dangling: Map<string, string>;
}

/**
 * `given`: name → a model's id or file name, or a word that `resolveWord` knows, such as `default`. The entries get
 * the names that are theirs.
 */
export function indexNames(
  entries: readonly ModelEntry[],
  given: ReadonlyMap<string, string>,
  resolveWord: (word: string) => ModelEntry | null,
): NameIndex {
  const ids = new Map(entries.map((entry) => [entry.id, entry]));
  const byName = new Map(ids);
  for (const entry of entries) {
    for (const alias of entry.aliases) {
      if (!byName.has(alias)) byName.set(alias, entry);
    }
  }
  const dangling = new Map<string, string>();
  const named: [string, ModelEntry][] = [];
  for (const [alias, target] of given) {
    const entry = resolveWord(target) ?? byName.get(target) ?? null;
    if (entry === null) dangling.set(alias, target);
    else if (!ids.has(alias)) named.push([alias, entry]);
  }
  // Afterwards: a name stands for a model and not for another name.
  for (const [alias, entry] of named) {
    entry.givenNames.push(alias);
    if (!entry.aliases.includes(alias)) entry.aliases.push(alias);
    byName.set(alias, entry);
  }
  return { byName, byFoldedName: foldNames(byName), dangling };
}

function foldNames(byName: ReadonlyMap<string, ModelEntry>): Map<string, ModelEntry | null> {
  const byFoldedName = new Map<string, ModelEntry | null>();
  for (const [name, entry] of byName) {
    const folded = name.toLowerCase();
    const other = byFoldedName.get(folded);
    byFoldedName.set(folded, other === undefined || other === entry ? entry : null);
  }
  return byFoldedName;
}

export function lookUp(index: NameIndex, name: string): ModelEntry | null {
  return index.byName.get(name) ?? index.byFoldedName.get(name.toLowerCase()) ?? null;
}
