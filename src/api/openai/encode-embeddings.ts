// Embeddings → OpenAI's JSON. Pure.

import type { EmbeddingResult } from "../../protocol/generation.ts";
import type { EmbeddingReply } from "./reply-schema.ts";

export function encodeEmbeddings(
  model: string,
  result: EmbeddingResult,
  format: "float" | "base64",
  dimensions = result.dimensions,
): EmbeddingReply {
  return {
    object: "list",
    model,
    data: result.vectors.map((whole, index) => {
      const vector = shorten(whole, dimensions);
      return { object: "embedding", index, embedding: format === "base64" ? encodeBase64(vector) : Array.from(vector) };
    }),
    usage: { prompt_tokens: result.promptTokens, total_tokens: result.promptTokens },
  };
}

/** Its first dimensions, of length 1 again: a model that was trained so says the most in the first ones (Matryoshka). */
function shorten(vector: Float32Array, dimensions: number): Float32Array {
  if (dimensions >= vector.length) return vector;
  const first = vector.subarray(0, dimensions);
  const length = Math.hypot(...first);
  // Nothing says which way one of length 0 points.
  return length === 0 ? first : first.map((value) => value / length);
}

/** Bytes as they lie in memory: little-endian on every platform that we build for. */
function encodeBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
}
