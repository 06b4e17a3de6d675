// Which adapters a sequence runs with, and how sets of them are told apart: sequences of one set can share a step and a
// prefix, those of two never. Pure.

import { type LoraScale, resolveScales } from "../../protocol/lora.ts";

export interface AdapterSet {
  /** Equal for equal sets; empty for none. */
  readonly key: string;
  /** One for each adapter of the model. */
  readonly scales: readonly number[];
  /** What the names of its slices on disk begin with: another file under the same number is another set. */
  readonly root: string;
}

/** What slices of no adapters begin with. */
const ROOT = "root";

/** None of them. */
export const NO_ADAPTERS: AdapterSet = { key: "", scales: [], root: ROOT };

export class AdapterSets {
  readonly #hashes: readonly string[];

  /** Hashes of the adapters' files, in their order. */
  constructor(hashes: readonly string[]) {
    this.#hashes = hashes;
  }

  /** Throws `invalid_request` for what is no set of this model's. */
  resolve(asked: readonly LoraScale[] = []): AdapterSet {
    const scales = resolveScales(asked, this.#hashes.length);
    const used = [...scales.entries()].filter(([, scale]) => scale !== 0);
    if (used.length === 0) return { ...NO_ADAPTERS, scales };
    const named = used.map(([id, scale]) => [this.#hashes[id], scale]);
    const root = new Bun.CryptoHasher("sha256").update(JSON.stringify(named)).digest("hex").slice(0, 32);
    return { key: used.map(([id, scale]) => `${id}:${scale}`).join(), scales, root };
  }
}
