// What LoRA adapters are to the fake backend: another number in the cells that are computed with them.

import { mix } from "./fake-sampler.ts";

/** What the adapters are in cells: a number, 0 for none. */
export function hashScales(scales: readonly number[]): number {
  const used = [...scales.entries()].filter(([, scale]) => scale !== 0);
  return used.reduce((hash, [id, scale]) => mix(mix(hash, id), Math.round(scale * 1000)), 0);
}

/** A cell that was computed with adapters is another one: whoever sees it says something else. */
export function adaptTokens(tokens: Int32Array, adapters: number): Int32Array {
  return adapters === 0 ? tokens : tokens.map((token) => mix(adapters, token));
}
