// The shapes of Ollama's responses as we send them: the only source of their types and documentation. Durations are in
// nanoseconds, times in RFC 3339.

import { type Static, Type } from "@sinclair/typebox";
import { ERROR_KINDS } from "../../protocol/errors.ts";
import { MloReply } from "../cache-report.ts";
import { ChatLogprobsReply } from "../openai/reply-schema.ts";

const Duration = (description: string) => Type.Optional(Type.Integer({ description: `Nanoseconds: ${description}.` }));

const LINE = {
  model: Type.String({ description: "As the request named it." }),
  created_at: Type.String({ description: "RFC 3339." }),
  done: Type.Boolean({ description: "True in the last line; what follows is only there." }),
  done_reason: Type.Optional(Type.Union(["stop", "length", "load", "unload"].map((reason) => Type.Literal(reason)))),
  total_duration: Duration("the whole request"),
  load_duration: Duration("the model's load, if it had to be loaded"),
  prompt_eval_count: Type.Optional(Type.Integer({ description: "Tokens of the prompt." })),
  prompt_eval_duration: Duration("reading the prompt"),
  eval_count: Type.Optional(Type.Integer({ description: "Tokens of the answer." })),
  eval_duration: Duration("generating the answer"),
  logprobs: Type.Optional(ChatLogprobsReply.properties.content),
  mlo: Type.Optional(MloReply),
};

const ToolCallReply = Type.Object({
  id: Type.String(),
  function: Type.Object({
    index: Type.Integer(),
    name: Type.String(),
    arguments: Type.Record(Type.String(), Type.Unknown()),
  }),
});
export type ToolCallReply = Static<typeof ToolCallReply>;

export const OllamaChatReply = Type.Object({
  ...LINE,
  message: Type.Object({
    role: Type.Literal("assistant"),
    content: Type.String(),
    thinking: Type.Optional(Type.String()),
    tool_calls: Type.Optional(Type.Array(ToolCallReply)),
  }),
});
export type OllamaChatReply = Static<typeof OllamaChatReply>;

export const OllamaGenerateReply = Type.Object({
  ...LINE,
  response: Type.String(),
  thinking: Type.Optional(Type.String()),
});
export type OllamaGenerateReply = Static<typeof OllamaGenerateReply>;

export const OllamaEmbedReply = Type.Object({
  model: Type.String(),
  embeddings: Type.Array(Type.Array(Type.Number())),
  total_duration: Type.Integer(),
  load_duration: Type.Integer(),
  prompt_eval_count: Type.Integer(),
});
export type OllamaEmbedReply = Static<typeof OllamaEmbedReply>;

export const OllamaEmbeddingsReply = Type.Object({ embedding: Type.Array(Type.Number()) });
export type OllamaEmbeddingsReply = Static<typeof OllamaEmbeddingsReply>;

const Details = Type.Object({
  parent_model: Type.String(),
  format: Type.String(),
  family: Type.String(),
  families: Type.Array(Type.String()),
  parameter_size: Type.String(),
  quantization_level: Type.String(),
});
export type Details = Static<typeof Details>;

const MODEL = {
  name: Type.String(),
  model: Type.String({ description: "The same name." }),
  size: Type.Integer({ description: "Bytes." }),
  digest: Type.String({ description: "Changes with the file's path, size or date; not a hash of its content." }),
  details: Details,
};

export const OllamaTagsReply = Type.Object({
  models: Type.Array(Type.Object({ ...MODEL, modified_at: Type.String() })),
});
export type OllamaTagsReply = Static<typeof OllamaTagsReply>;

export const OllamaPsReply = Type.Object({
  models: Type.Array(
    Type.Object({
      ...MODEL,
      expires_at: Type.String({ description: "When it is unloaded if nobody asks; far away: it stays." }),
      size_vram: Type.Integer({ description: "Bytes of its tensors where it has a GPU, else 0." }),
      context_length: Type.Integer({ description: "Most tokens of one request." }),
    }),
  ),
});
export type OllamaPsReply = Static<typeof OllamaPsReply>;

export const OllamaShowReply = Type.Object({
  modelfile: Type.String(),
  parameters: Type.String(),
  template: Type.String({ description: "Empty: a GGUF file's template is Jinja, which is not what is meant here." }),
  details: Details,
  model_info: Type.Record(Type.String(), Type.Unknown(), {
    description: "`<architecture>.context_length` is the most that one request may have here.",
  }),
  capabilities: Type.Array(
    Type.Union(["completion", "embedding", "tools", "thinking", "insert", "vision"].map((word) => Type.Literal(word))),
  ),
  modified_at: Type.String(),
});
export type OllamaShowReply = Static<typeof OllamaShowReply>;

export const OllamaPullReply = Type.Object({
  status: Type.String({
    description:
      "`pulling manifest`, `pulling <digest>`, `verifying sha256 digest`, `converting to Q8_0`, …, `success`.",
  }),
  digest: Type.Optional(Type.String({ description: "Of the file that the line is about: `sha256:…`." })),
  total: Type.Optional(Type.Integer({ description: "Bytes of that file, or of what is made of it." })),
  completed: Type.Optional(Type.Integer({ description: "Those of them that are there." })),
});
export type OllamaPullReply = Static<typeof OllamaPullReply>;

export const OllamaVersionReply = Type.Object({
  version: Type.String({ description: "The version of Ollama's API that this follows." }),
});
export type OllamaVersionReply = Static<typeof OllamaVersionReply>;

export const OllamaErrorReply = Type.Object({
  error: Type.String({ description: "What went wrong, and what to do about it." }),
  code: Type.Union(Object.keys(ERROR_KINDS).map((code) => Type.Literal(code))),
  param: Type.Optional(Type.String({ description: "The path of the field at fault." })),
});
