// The schemas of Ollama's dialect under the names by which the OpenAPI document refers to them.

import type { TSchema } from "@sinclair/typebox";
import {
  OllamaChatReply,
  OllamaEmbeddingsReply,
  OllamaEmbedReply,
  OllamaErrorReply,
  OllamaGenerateReply,
  OllamaPsReply,
  OllamaPullReply,
  OllamaShowReply,
  OllamaTagsReply,
  OllamaVersionReply,
} from "./reply-schema.ts";
import {
  OllamaChatRequest,
  OllamaCopyRequest,
  OllamaDeleteRequest,
  OllamaEmbeddingsRequest,
  OllamaEmbedRequest,
  OllamaGenerateRequest,
  OllamaPullRequest,
  OllamaShowRequest,
} from "./schema.ts";

export const OLLAMA_COMPONENTS: Record<string, TSchema> = {
  OllamaChatRequest,
  OllamaChatReply,
  OllamaGenerateRequest,
  OllamaGenerateReply,
  OllamaEmbedRequest,
  OllamaEmbedReply,
  OllamaEmbeddingsRequest,
  OllamaEmbeddingsReply,
  OllamaShowRequest,
  OllamaShowReply,
  OllamaTagsReply,
  OllamaPsReply,
  OllamaVersionReply,
  OllamaCopyRequest,
  OllamaDeleteRequest,
  OllamaPullRequest,
  OllamaPullReply,
  OllamaErrorReply,
};
