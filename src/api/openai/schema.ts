// The shapes of OpenAI's requests as we take them: the only source of their types, of the checks and of
// the documentation. Unknown fields pass; null is the same as absent (api/body.ts). Fields that are
// here only to be refused by name say so in their description.

import { type Static, Type } from "@sinclair/typebox";
import { CustomFormat } from "../custom-tools.ts";
import { LORA_FIELDS } from "../lora-fields.ts";
import { MLO_FIELDS } from "../mlo-fields.ts";
import { CHOICES_MAX, CHOICES_PER_PROMPT_MAX } from "./limits.ts";
import { SAMPLING_FIELDS } from "./sampling.ts";

/** One request can't make the matching of stops slow: at most this many, each this long. */
export const STOPS_MAX = 16;
export const STOP_CHARS_MAX = 1024;

/** Every tool goes into the prompt and the grammar; OpenAI takes 128. */
export const TOOLS_MAX = 512;

/** A template's time grows with the square of the messages: 4096 take most of a second. OpenAI takes 2048. */
export const MESSAGES_MAX = 4096;

/** OpenAI's own limit. */
export const EMBEDDING_INPUTS_MAX = 2048;

/** As OpenAI has it for chats. */
const LOGPROBS_MAX = 20;

const TokenId = Type.Integer({ minimum: 0, maximum: 2_147_483_647 });

export const Model = Type.Optional(
  Type.String({
    description:
      "A model's id or alias; absent, `default` or `auto` is the default model, `auto:tools` one that has the capability.",
  }),
);

const TokenLimit = (description: string) =>
  Type.Optional(Type.Integer({ minimum: -1, maximum: 2_147_483_647, description }));

const Stop = Type.Optional(
  Type.Union(
    [
      Type.String({ minLength: 1, maxLength: STOP_CHARS_MAX }),
      Type.Array(Type.String({ minLength: 1, maxLength: STOP_CHARS_MAX }), { maxItems: STOPS_MAX }),
    ],
    { description: "Generation ends before the first of these; they are not part of the output." },
  ),
);

export const GENERATION_FIELDS = {
  model: Model,
  max_tokens: TokenLimit("Most tokens to generate; absent or -1: until the context is full."),
  stop: Stop,
  stream: Type.Optional(Type.Boolean({ description: "Answer as server-sent events." })),
  stream_options: Type.Optional(
    Type.Object({ include_usage: Type.Optional(Type.Boolean({ description: "Send the usage in a last chunk." })) }),
  ),
  n: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: CHOICES_PER_PROMPT_MAX,
      description: "Answers to each prompt. With a `seed` choice `i` uses `seed + i`. Default 1.",
    }),
  ),
  ...LORA_FIELDS,
  ...MLO_FIELDS,
  ...SAMPLING_FIELDS,
};

const ContentPart = Type.Object({
  type: Type.String({ description: "Only `text` is supported." }),
  text: Type.Optional(Type.String()),
});

const MessageToolCall = Type.Object({
  id: Type.Optional(Type.String()),
  type: Type.Optional(Type.Union([Type.Literal("function"), Type.Literal("custom")])),
  function: Type.Optional(
    Type.Object({
      name: Type.String({ minLength: 1 }),
      arguments: Type.String({ description: "JSON text." }),
    }),
  ),
  custom: Type.Optional(Type.Object({ name: Type.String({ minLength: 1 }), input: Type.String() })),
});
export type MessageToolCall = Static<typeof MessageToolCall>;

export const ChatMessageBody = Type.Object({
  role: Type.Union(
    ["system", "developer", "user", "assistant", "tool"].map((role) => Type.Literal(role)),
    { description: "`developer` is the same as `system`." },
  ),
  content: Type.Optional(Type.Union([Type.String(), Type.Array(ContentPart)])),
  name: Type.Optional(Type.String()),
  reasoning_content: Type.Optional(Type.String()),
  tool_call_id: Type.Optional(Type.String()),
  tool_calls: Type.Optional(Type.Array(MessageToolCall)),
});
export type ChatMessageBody = Static<typeof ChatMessageBody>;

export const ToolBody = Type.Object({
  type: Type.String({ description: "Only `function` is supported." }),
  function: Type.Optional(
    Type.Object({
      name: Type.String({ minLength: 1, maxLength: 256 }),
      description: Type.Optional(Type.String()),
      parameters: Type.Optional(
        Type.Unknown({ description: "A JSON schema of the arguments. One that is none allows any object." }),
      ),
      strict: Type.Optional(
        Type.Boolean({ description: "Refuse the request when the grammar can't keep all of `parameters`." }),
      ),
    }),
  ),
});
export type ToolBody = Static<typeof ToolBody>;

export const ChatToolBody = Type.Object({
  ...ToolBody.properties,
  type: Type.String({ description: "Only `function` and `custom` are supported." }),
  custom: Type.Optional(
    Type.Object(
      {
        name: Type.String({ minLength: 1, maxLength: 256 }),
        description: Type.Optional(Type.String()),
        format: Type.Optional(CustomFormat),
      },
      { description: "A tool whose input is one text. The model sees a function with the argument `input`." },
    ),
  ),
});
export type ChatToolBody = Static<typeof ChatToolBody>;

const TOOL_NAME = {
  function: Type.Optional(Type.Object({ name: Type.String() })),
  custom: Type.Optional(Type.Object({ name: Type.String() })),
};

const ToolChoice = Type.Union([
  Type.Literal("auto"),
  Type.Literal("none"),
  Type.Literal("required"),
  Type.Object({
    type: Type.Union([Type.Literal("function"), Type.Literal("custom"), Type.Literal("allowed_tools")]),
    ...TOOL_NAME,
    allowed_tools: Type.Optional(
      Type.Object({
        mode: Type.Union([Type.Literal("auto"), Type.Literal("required")]),
        tools: Type.Array(Type.Object(TOOL_NAME), { maxItems: TOOLS_MAX }),
      }),
    ),
  }),
]);

const ResponseFormat = Type.Object({
  type: Type.Union([Type.Literal("text"), Type.Literal("json_object"), Type.Literal("json_schema")]),
  json_schema: Type.Optional(
    Type.Object({
      name: Type.Optional(Type.String()),
      description: Type.Optional(Type.String()),
      schema: Type.Optional(Type.Unknown({ description: "A JSON schema. One that is none allows any JSON." })),
      strict: Type.Optional(
        Type.Boolean({ description: "Refuse the request when the grammar can't keep all of `schema`." }),
      ),
    }),
  ),
  schema: Type.Optional(
    Type.Unknown({ description: "With `json_object`: a JSON schema, as llama.cpp's server takes it." }),
  ),
});

const CONTINUATION_FIELDS = {
  continue_final_message: Type.Optional(
    Type.Union([Type.Boolean(), Type.Literal("content"), Type.Literal("reasoning_content")], {
      description:
        "The answer goes on from the last message, which is the assistant's, and is what comes behind it. Default true where " +
        "that is so and has no tool calls; `reasoning_content` goes on in its thoughts, as a message of thoughts alone does anyway.",
    }),
  ),
  add_generation_prompt: Type.Optional(
    Type.Boolean({
      description:
        "True: the answer is a message of its own, whatever the last one is. False: as `continue_final_message`; for " +
        "`/apply-template` also a conversation without what opens an answer.",
    }),
  ),
};

export const ChatRequest = Type.Object({
  ...GENERATION_FIELDS,
  messages: Type.Array(ChatMessageBody, { minItems: 1, maxItems: MESSAGES_MAX }),
  max_completion_tokens: TokenLimit("The same as `max_tokens`, and comes first."),
  ...CONTINUATION_FIELDS,
  tools: Type.Optional(Type.Array(ChatToolBody, { maxItems: TOOLS_MAX })),
  tool_choice: Type.Optional(ToolChoice),
  parallel_tool_calls: Type.Optional(
    Type.Boolean({ description: "Several calls in one answer. Default true where the template knows such answers." }),
  ),
  response_format: Type.Optional(ResponseFormat),
  reasoning_effort: Type.Optional(
    Type.Union(
      ["none", "minimal", "low", "medium", "high", "xhigh"].map((effort) => Type.Literal(effort)),
      {
        description:
          "For templates that know it; `none` turns thinking off in those that can. `chat_template_kwargs` come first.",
      },
    ),
  ),
  chat_template_kwargs: Type.Optional(
    Type.Record(Type.String(), Type.Unknown(), {
      description: "Variables for the chat template: `enable_thinking`, …",
    }),
  ),
  logprobs: Type.Optional(Type.Boolean({ description: "Log probabilities of the generated tokens." })),
  top_logprobs: Type.Optional(
    Type.Integer({ minimum: 0, maximum: LOGPROBS_MAX, description: "With `logprobs`: the likeliest tokens too." }),
  ),
});
export type ChatRequest = Static<typeof ChatRequest>;

export const CompletionRequest = Type.Object({
  ...GENERATION_FIELDS,
  prompt: Type.Union(
    [
      Type.String(),
      Type.Array(Type.Union([Type.String(), TokenId, Type.Array(TokenId, { minItems: 1 })]), { minItems: 1 }),
    ],
    {
      description: `A text, a list of token ids, or an array of either: ${CHOICES_MAX} choices at most, prompts times \`n\` or \`best_of\`.`,
    },
  ),
  best_of: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: CHOICES_PER_PROMPT_MAX,
      description:
        "So many answers to each prompt are generated, and the `n` with the best mean log probability are sent. Default `n`, and " +
        "no more than that of a stream.",
    }),
  ),
  echo: Type.Optional(
    Type.Boolean({
      description:
        "The prompt comes first in the text. With `logprobs` those of the prompt's tokens too; then `max_tokens` may be 0.",
    }),
  ),
  logprobs: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: LOGPROBS_MAX,
      description: "Log probabilities of the tokens, and so many of the likeliest in each place.",
    }),
  ),
  suffix: Type.Optional(
    Type.String({
      description:
        "Text that stands behind the answer. For models that were trained to fill in text; `prompt` is a text then.",
    }),
  ),
});
export type CompletionRequest = Static<typeof CompletionRequest>;

export const EmbeddingRequest = Type.Object({
  model: Model,
  input: Type.Union(
    [
      Type.String({ minLength: 1 }),
      Type.Array(Type.Union([Type.String({ minLength: 1 }), TokenId, Type.Array(TokenId, { minItems: 1 })]), {
        minItems: 1,
      }),
    ],
    { description: "One text, one list of token ids, or up to 2048 of either; none empty." },
  ),
  encoding_format: Type.Optional(
    Type.Union([Type.Literal("float"), Type.Literal("base64")], {
      description: "`base64` is little-endian float32. Default `float`.",
    }),
  ),
  dimensions: Type.Optional(
    Type.Integer({
      minimum: 1,
      description:
        "So many of the vectors' first dimensions, brought back to length 1; at most the model's own number, which is the " +
        "default. Of use with models that were trained for it (Matryoshka); a file does not tell whether its model was.",
    }),
  ),
});
export type EmbeddingRequest = Static<typeof EmbeddingRequest>;
