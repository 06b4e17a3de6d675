// The shapes of Anthropic's requests as we take them: the only source of their types, of the checks and of the
// documentation. Unknown fields pass; null is the same as absent (api/body.ts). Which kinds of blocks and tools are
// supported is said by the code that reads them, with the path of the one that is not.

import { type Static, Type } from "@sinclair/typebox";
import { LORA_FIELDS } from "../lora-fields.ts";
import { MLO_FIELDS } from "../mlo-fields.ts";
import { SAMPLING_FIELDS } from "../openai/sampling.ts";
import { MESSAGES_MAX, Model, STOP_CHARS_MAX, STOPS_MAX, TOOLS_MAX } from "../openai/schema.ts";

/** Fields of our bodies in which null means something. */
export const OPAQUE_FIELDS = ["input", "input_schema"];

const CacheControl = Type.Optional(
  Type.Object(
    {
      type: Type.Literal("ephemeral"),
      ttl: Type.Optional(Type.Union([Type.Literal("5m"), Type.Literal("1h")])),
    },
    { description: "What was read so far is kept longer than the prompts of requests without it." },
  ),
);

export const TextBlock = Type.Object({
  type: Type.String({ description: "Only `text` is supported." }),
  text: Type.Optional(Type.String()),
  cache_control: CacheControl,
});
export type TextBlock = Static<typeof TextBlock>;

const Source = Type.Object({
  type: Type.String({ description: "Of a document: `text` or `content`." }),
  media_type: Type.Optional(Type.String()),
  data: Type.Optional(Type.String()),
  content: Type.Optional(Type.Union([Type.String(), Type.Array(TextBlock)])),
});

const DATA_FIELDS = {
  text: Type.Optional(Type.String()),
  source: Type.Optional(
    Type.Union([Type.String(), Source], { description: "Of a `document`; of a `search_result` a text." }),
  ),
  title: Type.Optional(Type.String()),
  context: Type.Optional(Type.String()),
  cache_control: CacheControl,
};

/** A block that holds something to read. */
const DataBlock = Type.Object({
  ...DATA_FIELDS,
  type: Type.String({ description: "`text`, `document`, `search_result`, or `tool_reference` of a `tool_result`." }),
  tool_name: Type.Optional(Type.String({ description: "Of a `tool_reference`: a deferred tool is no longer that." })),
  content: Type.Optional(Type.Array(TextBlock)),
});
export type DataBlock = Static<typeof DataBlock>;

const Block = Type.Object({
  ...DATA_FIELDS,
  type: Type.String({
    description:
      "`text`, `document`, `search_result`, `tool_result` of users; `text`, `thinking`, `redacted_thinking`, `tool_use` " +
      "of assistants.",
  }),
  thinking: Type.Optional(Type.String()),
  id: Type.Optional(Type.String({ minLength: 1 })),
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
  input: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  tool_use_id: Type.Optional(Type.String({ minLength: 1 })),
  is_error: Type.Optional(Type.Boolean()),
  content: Type.Optional(
    Type.Union([Type.String(), Type.Array(DataBlock)], { description: "Of a `tool_result` or a `search_result`." }),
  ),
});
export type Block = Static<typeof Block>;

const Message = Type.Object({
  role: Type.Union(["user", "assistant", "system"].map((role) => Type.Literal(role))),
  content: Type.Union([Type.String(), Type.Array(Block)]),
});
export type MessageBody = Static<typeof Message>;

const Tool = Type.Object({
  type: Type.Optional(Type.String({ description: "Only `custom` is supported, which is also the default." })),
  name: Type.String({ minLength: 1, maxLength: 256 }),
  description: Type.Optional(Type.String()),
  input_schema: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: "A JSON schema." })),
  strict: Type.Optional(Type.Boolean()),
  defer_loading: Type.Optional(
    Type.Boolean({ description: "Left out until a `tool_reference` names it. Default false." }),
  ),
  cache_control: CacheControl,
});
export type ToolBody = Static<typeof Tool>;

const ToolChoice = Type.Object({
  type: Type.Union(["auto", "any", "tool", "none"].map((type) => Type.Literal(type))),
  name: Type.Optional(Type.String({ description: "With `tool`: which." })),
  disable_parallel_tool_use: Type.Optional(Type.Boolean({ description: "At most one call. Default false." })),
});

const Thinking = Type.Object(
  {
    type: Type.Union(["enabled", "adaptive", "between_tools", "disabled"].map((type) => Type.Literal(type))),
    budget_tokens: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 1_048_576, description: "Tokens after which the model must answer." }),
    ),
    display: Type.Optional(
      Type.String({
        description:
          "`omitted`: blocks without their text. Any other, as `summarized` or `updates`, is the text itself.",
      }),
    ),
  },
  {
    description:
      "`adaptive` and `between_tools` are the same as `enabled` without a budget. Absent or `disabled`: models that have " +
      "a choice do not think, and no thoughts are sent.",
  },
);

const OutputFormat = Type.Object({
  type: Type.Literal("json_schema"),
  schema: Type.Record(Type.String(), Type.Unknown()),
});

/** What makes the prompt. */
const PROMPT_FIELDS = {
  model: Model,
  messages: Type.Array(Message, { minItems: 1, maxItems: MESSAGES_MAX }),
  system: Type.Optional(Type.Union([Type.String(), Type.Array(TextBlock)])),
  tools: Type.Optional(Type.Array(Tool, { maxItems: TOOLS_MAX })),
  tool_choice: Type.Optional(ToolChoice),
  thinking: Type.Optional(Thinking),
  output_config: Type.Optional(
    Type.Object({
      effort: Type.Optional(
        Type.String({ description: "Given to templates as `reasoning_effort`, above `high` as `high`." }),
      ),
      format: Type.Optional(OutputFormat),
    }),
  ),
  output_format: Type.Optional({ ...OutputFormat, description: "The older place of `output_config.format`." }),
  thread: Type.Optional(
    Type.Unknown({ description: "Refused: no conversation is held here. Clients then send it whole in each request." }),
  ),
  mcp_servers: Type.Optional(Type.Array(Type.Unknown(), { description: "Only an empty list is supported." })),
  cache_control: CacheControl,
};

export const MessageRequest = Type.Object({
  ...PROMPT_FIELDS,
  ...LORA_FIELDS,
  ...MLO_FIELDS,
  ...SAMPLING_FIELDS,
  max_tokens: Type.Integer({
    minimum: 0,
    maximum: 2_147_483_647,
    description: "Most tokens to generate; 0: the prompt is read ahead, and nothing is answered.",
  }),
  stop_sequences: Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: STOP_CHARS_MAX }), {
      maxItems: STOPS_MAX,
      description: "Generation ends before the first of these.",
    }),
  ),
  stream: Type.Optional(Type.Boolean({ description: "Answer as server-sent events." })),
  metadata: Type.Optional(
    Type.Object({
      user_id: Type.Optional(
        Type.Union([Type.String(), Type.Null()], { description: "With `cache_control`: tells conversations apart." }),
      ),
    }),
  ),
});
export type MessageRequest = Static<typeof MessageRequest>;

export const CountTokensRequest = Type.Object(PROMPT_FIELDS);
/** What makes the prompt, of either request. */
export type PromptBody = Static<typeof CountTokensRequest>;
