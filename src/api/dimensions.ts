// Embeddings of fewer dimensions than the model's, in every dialect: a model that was trained so (Matryoshka) says the most
// in the first ones. Pure.

import { invalidField } from "./openai/limits.ts";

/** Throws `invalid_request` for more than there are. */
export function checkDimensions(wanted: number | undefined, actual: number): void {
  if (wanted === undefined || wanted <= actual) return;
  throw invalidField("dimensions", `asks for ${wanted}, and this model's vectors have ${actual}`);
}

/** The first ones, of length 1 again; absent: all of them, as they are. */
export function shortenVector(vector: Float32Array, dimensions = vector.length): Float32Array {
  if (dimensions >= vector.length) return vector;
  const first = vector.subarray(0, dimensions);
  const length = Math.hypot(...first);
  // Nothing says which way one of length 0 points.
  return length === 0 ? first : first.map((value) => value / length);
}
