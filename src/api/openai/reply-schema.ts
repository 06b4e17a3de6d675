// The shapes of OpenAI's responses as we send them: the only source of their types and documentation.

import { type Static, Type } from "@sinclair/typebox";
import { MloReply } from "../cache-report.ts";

const orNull = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) => Type.Union([schema, Type.Null()]);

const FinishReason = Type.Union([Type.Literal("stop"), Type.Literal("length"), Type.Literal("tool_calls")]);

export const UsageReply = Type.Object({
  prompt_tokens: Type.Integer({ description: "Of each prompt once, however many choices it has." }),
  completion_tokens: Type.Integer({ description: "Of all choices." }),
  total_tokens: Type.Integer(),
  prompt_tokens_details: Type.Object({
    cached_tokens: Type.Integer({ description: "Prompt tokens that were not computed for this request." }),
  }),
});
export type UsageReply = Static<typeof UsageReply>;

/** Of requests that generate nothing. */
export const PromptUsageReply = Type.Object({ prompt_tokens: Type.Integer(), total_tokens: Type.Integer() });

export const TimingsReply = Type.Object(
  {
    queued_ms: Type.Number(),
    cache_n: Type.Integer({ description: "Prompt tokens whose state was already there." }),
    prompt_n: Type.Integer({ description: "Prompt tokens that were computed." }),
    prompt_ms: Type.Number(),
    prompt_per_token_ms: orNull(Type.Number()),
    prompt_per_second: orNull(Type.Number()),
    predicted_n: Type.Integer(),
    predicted_ms: Type.Number(),
    predicted_per_token_ms: orNull(Type.Number()),
    predicted_per_second: orNull(Type.Number()),
  },
  {
    description:
      "Wall-clock times as llama.cpp's server names them; a rate is null when nothing was computed. Of several choices " +
      "the longest times, and the tokens of all.",
  },
);
export type TimingsReply = Static<typeof TimingsReply>;

const HEAD = {
  id: Type.String(),
  created: Type.Integer({ description: "Seconds since the epoch." }),
  model: Type.String(),
  system_fingerprint: Type.String(),
};

const ToolCallReply = Type.Union([
  Type.Object({
    id: Type.String(),
    type: Type.Literal("function"),
    function: Type.Object({ name: Type.String(), arguments: Type.String() }),
  }),
  Type.Object(
    {
      id: Type.String(),
      type: Type.Literal("custom"),
      custom: Type.Object({ name: Type.String(), input: Type.String() }),
    },
    { description: "Of a custom tool." },
  ),
]);
export type ToolCallReply = Static<typeof ToolCallReply>;

const ScoredToken = {
  token: Type.String({ description: "`bytes:\\x…` for a part of a character." }),
  logprob: Type.Number({ description: "Natural logarithm, before any sampling setting." }),
  bytes: Type.Array(Type.Integer()),
};

export const ChatLogprobsReply = Type.Object(
  {
    content: Type.Array(Type.Object({ ...ScoredToken, top_logprobs: Type.Array(Type.Object(ScoredToken)) })),
    refusal: Type.Null(),
  },
  {
    description:
      "Of every token that was generated, thoughts, calls and the one that ended it included. Streamed with the text that " +
      "they make, and with the last chunk where a text is held back.",
  },
);
export type ChatLogprobsReply = Static<typeof ChatLogprobsReply>;

export const ChatReply = Type.Object({
  ...HEAD,
  object: Type.Literal("chat.completion"),
  choices: Type.Array(
    Type.Object({
      index: Type.Integer(),
      message: Type.Object({
        role: Type.Literal("assistant"),
        content: orNull(Type.String()),
        refusal: Type.Null(),
        reasoning_content: Type.Optional(Type.String()),
        tool_calls: Type.Optional(Type.Array(ToolCallReply)),
      }),
      logprobs: orNull(ChatLogprobsReply),
      finish_reason: FinishReason,
    }),
  ),
  usage: UsageReply,
  timings: TimingsReply,
  mlo: MloReply,
});
export type ChatReply = Static<typeof ChatReply>;

const ToolCallChunk = Type.Object({
  index: Type.Integer(),
  id: Type.Optional(Type.String()),
  type: Type.Optional(Type.Union([Type.Literal("function"), Type.Literal("custom")])),
  function: Type.Optional(Type.Object({ name: Type.Optional(Type.String()), arguments: Type.Optional(Type.String()) })),
  custom: Type.Optional(Type.Object({ name: Type.Optional(Type.String()), input: Type.Optional(Type.String()) })),
});
export type ToolCallChunk = Static<typeof ToolCallChunk>;

export const ChatDelta = Type.Object({
  role: Type.Optional(Type.Literal("assistant")),
  content: Type.Optional(Type.String()),
  reasoning_content: Type.Optional(Type.String()),
  tool_calls: Type.Optional(Type.Array(ToolCallChunk)),
});
export type ChatDelta = Static<typeof ChatDelta>;

const CHUNK_USAGE = {
  usage: Type.Optional(orNull(UsageReply)),
  /** In the last chunk. */
  mlo: Type.Optional(MloReply),
};

/** llama.cpp's name and shape. */
const ProgressReply = Type.Object(
  {
    total: Type.Integer({ description: "Tokens of the prompt." }),
    cache: Type.Integer({ description: "Those whose state was there." }),
    processed: Type.Integer({ description: "Those that are read, with the ones that were there." }),
    time_ms: Type.Integer({ description: "Since the reading began." }),
  },
  { description: "How far the prompt is read, where `return_progress` asks." },
);

export const ChatChunk = Type.Object({
  ...HEAD,
  object: Type.Literal("chat.completion.chunk"),
  choices: Type.Array(
    Type.Object({
      index: Type.Integer(),
      delta: ChatDelta,
      logprobs: orNull(ChatLogprobsReply),
      finish_reason: orNull(FinishReason),
    }),
  ),
  prompt_progress: Type.Optional(ProgressReply),
  ...CHUNK_USAGE,
});
export type ChatChunk = Static<typeof ChatChunk>;

export const LogprobsReply = Type.Object(
  {
    tokens: Type.Array(Type.String({ description: "`bytes:\\x…` for a part of a character." })),
    token_logprobs: Type.Array(orNull(Type.Number())),
    top_logprobs: Type.Array(orNull(Type.Record(Type.String(), Type.Number()))),
    text_offset: Type.Array(Type.Integer({ description: "Characters of `text` before the token." })),
  },
  {
    description:
      "A token each, with the natural logarithm of its probability before any sampling setting; null for the first " +
      "token of an echoed prompt. The token that ends a text is listed too.",
  },
);
export type LogprobsReply = Static<typeof LogprobsReply>;

export const CompletionReply = Type.Object({
  ...HEAD,
  object: Type.Literal("text_completion"),
  choices: Type.Array(
    Type.Object({
      index: Type.Integer(),
      text: Type.String(),
      logprobs: orNull(LogprobsReply),
      finish_reason: orNull(FinishReason),
    }),
  ),
  prompt_progress: Type.Optional(ProgressReply),
  ...CHUNK_USAGE,
  timings: Type.Optional(TimingsReply),
});
export type CompletionReply = Static<typeof CompletionReply>;

export const EmbeddingReply = Type.Object({
  object: Type.Literal("list"),
  model: Type.String(),
  data: Type.Array(
    Type.Object({
      object: Type.Literal("embedding"),
      index: Type.Integer(),
      embedding: Type.Union([Type.Array(Type.Number()), Type.String({ description: "base64 of float32" })]),
    }),
  ),
  usage: PromptUsageReply,
});
export type EmbeddingReply = Static<typeof EmbeddingReply>;

export const ModelReply = Type.Object({
  id: Type.String(),
  object: Type.Literal("model"),
  created: Type.Integer({ description: "The file's modification time in seconds since the epoch." }),
  owned_by: Type.String(),
  aliases: Type.Array(Type.String()),
  display_name: orNull(Type.String({ description: "As its model file calls it." })),
  context_length: orNull(Type.Integer({ description: "Most tokens of one request, prompt and answer." })),
  max_model_len: orNull(Type.Integer({ description: "The same number under vLLM's name." })),
  trained_context_length: orNull(Type.Integer()),
  quantization: orNull(Type.String()),
  parameter_count: orNull(Type.Integer()),
  size_bytes: Type.Integer(),
  architecture: orNull(Type.String()),
  capabilities: Type.Object(
    {
      chat: Type.Boolean(),
      completion: Type.Boolean(),
      embedding: Type.Boolean(),
      rerank: Type.Boolean(),
      tools: Type.Boolean(),
      reasoning: Type.Boolean(),
      infill: Type.Boolean(),
      vision: Type.Boolean(),
    },
    { description: "As far as the file's header tells; `auto:tools` as a model's name asks for one that has it." },
  ),
  embedding: orNull(
    Type.Object({
      pooling: Type.String(),
      source: Type.Union([Type.Literal("model"), Type.Literal("default"), Type.Literal("setting")], {
        description: "Whether the pooling is the model's own, what a model without one gets, or that of `--pooling`.",
      }),
    }),
  ),
  companions: Type.Array(
    Type.Object({
      kind: Type.String({ description: "`projector`, `draft` or `adapter`." }),
      name: Type.String({ description: "The file's name without its extension." }),
      size_bytes: Type.Integer(),
    }),
    { description: "Files that were found for it and are no models of their own. They are not loaded by themselves." },
  ),
  conversion: orNull(
    Type.Union([Type.Literal("needed"), Type.Literal("done")], {
      description: "Of a folder of weights: it is converted by the first request, or was. Null: it is served as it is.",
    }),
  ),
  state: Type.Union(["unloaded", "loading", "loaded", "asleep", "failed"].map((state) => Type.Literal(state))),
  loaded: Type.Boolean(),
  error: orNull(Type.String({ description: "Why the last load failed." })),
  default: Type.Boolean(),
  demo: Type.Boolean(),
  note: Type.Optional(Type.String()),
});
export type ModelReply = Static<typeof ModelReply>;

export const ModelListReply = Type.Object({ object: Type.Literal("list"), data: Type.Array(ModelReply) });
export type ModelListReply = Static<typeof ModelListReply>;
