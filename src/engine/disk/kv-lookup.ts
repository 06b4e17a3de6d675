// What of waiting prompts is on disk. A prompt may wait for many steps, and is asked for in each of them: its tokens are
// hashed once, and looked up again only when files came or went. It reads no file.

import type { Sequence } from "../sequence.ts";
import type { KvChains } from "./kv-chains.ts";
import type { KvFiles } from "./kv-files.ts";
import type { SliceName } from "./kv-names.ts";

interface Known {
  /** The tokens that were hashed: those of a sequence that had to leave are others when it waits again. */
  length: number;
  dropped: number;
  slices: SliceName[];
  /** The files' when they were looked up. */
  version: number;
  found: SliceName[];
}

export class KvLookup {
  readonly #chains: KvChains;
  readonly #files: KvFiles;
  readonly #known = new WeakMap<Sequence, Known>();
  /** Times that a prompt's tokens were hashed, and that files were looked up for one. */
  hashed = 0;
  lookedUp = 0;

  constructor(chains: KvChains, files: KvFiles) {
    this.#chains = chains;
    this.#files = files;
  }

  /** States that its prompt can start from, in order. Its last token is always computed. */
  find(sequence: Sequence): readonly SliceName[] {
    const tokens = sequence.tokens.subarray(0, sequence.length - 1);
    const known = this.#hash(sequence, tokens);
    const { version } = this.#files;
    if (known.version !== version) {
      this.lookedUp++;
      known.found = this.#chains.findAmong(tokens, known.slices, sequence.set);
      known.version = version;
    }
    return known.found;
  }

  #hash(sequence: Sequence, tokens: Int32Array): Known {
    const { length, dropped, set } = sequence;
    const before = this.#known.get(sequence);
    if (before?.length === length && before.dropped === dropped) return before;
    this.hashed++;
    const known = { length, dropped, slices: this.#chains.nameSlices(tokens, set), version: -1, found: [] };
    this.#known.set(sequence, known);
    return known;
  }
}
