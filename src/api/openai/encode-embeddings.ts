// Embeddings → OpenAI's JSON. Pure.

import type { EmbeddingResult } from "../../protocol/generation.ts";
import { shortenVector } from "../dimensions.ts";
import type { EmbeddingReply } from "./reply-schema.ts";

export function encodeEmbeddings(
  model: string,
  result: EmbeddingResult,
  format: "float" | "base64",
  dimensions?: number,
): EmbeddingReply {
  return {
    object: "list",
    model,
    data: result.vectors.map((whole, index) => {
      const vector = shortenVector(whole, dimensions);
      return { object: "embedding", index, embedding: format === "base64" ? encodeBase64(vector) : Array.from(vector) };
    }),
    usage: { prompt_tokens: result.promptTokens, total_tokens: result.promptTokens },
  };
}

/** Bytes as they lie in memory: little-endian on every platform that we build for. */
function encodeBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("base64");
}
