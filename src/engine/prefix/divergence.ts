// Where a prompt left the kept sequence that is nearest to it, if the two were ever the same. Pure.

import type { Sequence } from "../sequence.ts";
import type { Kept } from "./kept-sequences.ts";

/** Tokens of each side that the explainer shows. */
const DIVERGENCE_TOKENS = 8;

/** `length`: leading tokens that both have. Null: it goes on from there, or never belonged together. */
export function findDivergence(
  sequence: Sequence,
  kept: Kept | null,
  length: number,
): { at: number; old: Int32Array } | null {
  if (kept === null || length >= Math.min(kept.tokens.length, sequence.length)) return null;
  const isSame = kept.session !== null && kept.session === sequence.session;
  // Strangers that only begin with the same system text have not diverged: they never were the same.
  if (!isSame && 2 * length < kept.tokens.length) return null;
  return { at: length, old: kept.tokens.slice(length, length + DIVERGENCE_TOKENS) };
}
