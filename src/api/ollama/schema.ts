// The shapes of Ollama's requests as we take them: the only source of their types, checks and documentation. Unknown
// fields pass; null is the same as absent (api/body.ts). `name` is what older clients call `model`.

import { type Static, Type } from "@sinclair/typebox";
import { EMBEDDING_INPUTS_MAX, MESSAGES_MAX, TOOLS_MAX, ToolBody } from "../openai/schema.ts";
import { KeepAlive } from "./keep-alive.ts";
import { OptionsBody } from "./options.ts";

/** Fields whose inside is the client's own: a null in there means something. */
export const OPAQUE_FIELDS = ["arguments", "format"];

const NAMES = {
  model: Type.Optional(
    Type.String({ description: "A model's name, with or without `:latest`; absent is the default model." }),
  ),
  name: Type.Optional(Type.String({ description: "The same, as older clients say it." })),
};

const Images = Type.Optional(Type.Array(Type.String(), { description: "Only an empty list is supported." }));

const GENERATION = {
  ...NAMES,
  stream: Type.Optional(Type.Boolean({ description: "Answer as lines of JSON. Default true." })),
  keep_alive: KeepAlive,
  options: Type.Optional(OptionsBody),
  think: Type.Optional(
    Type.Union([Type.Boolean(), Type.Literal("low"), Type.Literal("medium"), Type.Literal("high")], {
      description: "Whether, or how much, a reasoning model thinks first: for its chat template to act on.",
    }),
  ),
  format: Type.Optional(
    Type.Union([Type.Literal("json"), Type.Literal(""), Type.Record(Type.String(), Type.Unknown())], {
      description: "`json`: an object; or a JSON schema that the answer must follow.",
    }),
  ),
  shift: Type.Optional(
    Type.Boolean({
      description: "Whether a full context drops its older half and the answer goes on. Default `--context-shift`.",
    }),
  ),
  truncate: Type.Optional(Type.Boolean({ description: "Ignored: a prompt that is too long is refused, never cut." })),
  logprobs: Type.Optional(Type.Boolean({ description: "Give the log probability of every token." })),
  top_logprobs: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 20, description: "With `logprobs`: so many of the likeliest tokens too." }),
  ),
};

const MessageBody = Type.Object({
  role: Type.Union(["system", "developer", "user", "assistant", "tool"].map((role) => Type.Literal(role))),
  content: Type.Optional(Type.String()),
  thinking: Type.Optional(Type.String({ description: "What the assistant thought before it answered." })),
  images: Images,
  tool_calls: Type.Optional(
    Type.Array(
      Type.Object({
        id: Type.Optional(Type.String()),
        function: Type.Object({
          name: Type.String({ minLength: 1 }),
          arguments: Type.Optional(
            Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.String({ description: "JSON text." })]),
          ),
        }),
      }),
    ),
  ),
  tool_name: Type.Optional(Type.String({ description: "Of a tool's result: which tool." })),
  tool_call_id: Type.Optional(Type.String({ description: "Of a tool's result: which call." })),
});
export type MessageBody = Static<typeof MessageBody>;

export const OllamaChatRequest = Type.Object({
  ...GENERATION,
  messages: Type.Optional(
    Type.Array(MessageBody, {
      maxItems: MESSAGES_MAX,
      description: "None: the model is loaded, or with `keep_alive` 0 unloaded.",
    }),
  ),
  tools: Type.Optional(Type.Array(ToolBody, { maxItems: TOOLS_MAX })),
});
export type OllamaChatRequest = Static<typeof OllamaChatRequest>;

export const OllamaGenerateRequest = Type.Object({
  ...GENERATION,
  prompt: Type.Optional(
    Type.String({ description: "Empty or absent: the model is loaded, or with `keep_alive` 0 unloaded." }),
  ),
  suffix: Type.Optional(
    Type.String({ description: "Text behind the answer, for models that were trained to fill in text." }),
  ),
  system: Type.Optional(Type.String({ description: "System text, in place of none." })),
  template: Type.Optional(Type.String({ description: "Only empty is supported: the model's own template is used." })),
  context: Type.Optional(
    Type.Array(Type.Integer(), { description: "Ignored; answers have none. Use /api/chat for conversations." }),
  ),
  raw: Type.Optional(Type.Boolean({ description: "The prompt as it is, without a chat template." })),
  images: Images,
});
export type OllamaGenerateRequest = Static<typeof OllamaGenerateRequest>;

const EMBEDDING = {
  ...NAMES,
  keep_alive: KeepAlive,
  truncate: Type.Optional(Type.Boolean({ description: "Ignored: a text that is too long is refused, never cut." })),
};

export const OllamaEmbedRequest = Type.Object({
  ...EMBEDDING,
  input: Type.Optional(
    Type.Union([Type.String(), Type.Array(Type.String({ minLength: 1 }), { maxItems: EMBEDDING_INPUTS_MAX })], {
      description: "One text or several. None, or an empty one: the model is loaded.",
    }),
  ),
  dimensions: Type.Optional(
    Type.Integer({ minimum: 1, description: "As of `/v1/embeddings`: so many of the first ones, at length 1." }),
  ),
});

export const OllamaEmbeddingsRequest = Type.Object({
  ...EMBEDDING,
  prompt: Type.Optional(Type.String({ description: "The text. Empty or absent: the model is loaded." })),
});

export const OllamaShowRequest = Type.Object(NAMES);

export const OllamaPullRequest = Type.Object({
  model: Type.Optional(Type.String({ description: "`owner/repo` or `owner/repo:TAG` of the Hub." })),
  name: Type.Optional(Type.String({ description: "The same, as older clients say it." })),
  stream: Type.Optional(Type.Boolean({ description: "Answer as lines of JSON. Default true." })),
});

export const OllamaCopyRequest = Type.Object({
  source: Type.String({ minLength: 1, description: "A model's name." }),
  destination: Type.String({ minLength: 1, description: "Its further name." }),
});

export const OllamaDeleteRequest = Type.Object(NAMES);
