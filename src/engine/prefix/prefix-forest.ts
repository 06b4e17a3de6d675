// The prefix trees of all sets of adapters, one each: what was computed under one set is of no use under another, so
// nobody finds it there. Bounded by the sequences that are in it: an empty tree goes.

import { assert } from "../../lib/assert.ts";
import { PrefixIndex, type PrefixMatch } from "./prefix-index.ts";

export class PrefixForest {
  readonly #trees = new Map<string, PrefixIndex>();
  /** In whose tree each sequence is. */
  readonly #sets = new Map<number, string>();

  /** The tokens must not change afterwards. */
  insert(set: string, key: number, tokens: Int32Array): void {
    assert(!this.#sets.has(key), `sequence ${key} is in a tree already`);
    const tree = this.#trees.get(set) ?? new PrefixIndex();
    tree.insert(key, tokens);
    this.#trees.set(set, tree);
    this.#sets.set(key, set);
  }

  remove(key: number): void {
    const set = this.#sets.get(key);
    if (set === undefined) return;
    this.#sets.delete(key);
    const tree = this.#trees.get(set);
    tree?.remove(key);
    if (tree?.size === 0) this.#trees.delete(set);
  }

  /** Every sequence of the set that shares at least one token with the prompt, each once. */
  matches(set: string, tokens: Int32Array): PrefixMatch[] {
    return this.#trees.get(set)?.matches(tokens) ?? [];
  }
}
