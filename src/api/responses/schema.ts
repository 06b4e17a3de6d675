// The shapes of requests for responses as we take them: the only source of their types, checks and documentation.
// Unknown fields pass; null is the same as absent (api/body.ts). Items are checked one by one in items.ts.

import { type Static, Type } from "@sinclair/typebox";
import { AnyNames } from "../any-name.ts";
import { CustomFormat } from "../custom-tools.ts";
import { LORA_FIELDS } from "../lora-fields.ts";
import { MLO_FIELDS } from "../mlo-fields.ts";
import { SAMPLING_FIELDS } from "../openai/sampling.ts";
import { Model } from "../openai/schema.ts";

/** As for chats: a template's time grows with the square of the messages. */
export const ITEMS_MAX = 4096;

/** Every tool goes into the prompt and the grammar. */
export const TOOLS_MAX = 512;

/** Ids of ours are 40 characters long; clients may send back those of other servers. */
export const ID_CHARS_MAX = 200;

/** OpenAI's own limits. */
const METADATA_PAIRS_MAX = 16;
const METADATA_VALUE_CHARS_MAX = 512;

const Id = Type.String({ minLength: 1, maxLength: ID_CHARS_MAX });

export const Metadata = AnyNames(Type.String({ maxLength: METADATA_VALUE_CHARS_MAX }), {
  maxProperties: METADATA_PAIRS_MAX,
  description: "Texts of the client's own, kept with the object.",
});

const ContentPart = Type.Object({
  type: Type.String({ description: "`input_text`, `output_text`, `text` or `refusal`." }),
  text: Type.Optional(Type.String()),
  refusal: Type.Optional(Type.String()),
});
export type ContentPartBody = Static<typeof ContentPart>;

const Content = Type.Union([Type.String(), Type.Array(ContentPart)]);

export const InputItem = Type.Object(
  {
    type: Type.Optional(
      Type.String({
        description:
          "`message` (default), `function_call`, `function_call_output`, `custom_tool_call`, `custom_tool_call_output`, " +
          "`reasoning`, `compaction`, `item_reference`.",
      }),
    ),
    id: Type.Optional(Id),
    role: Type.Optional(Type.String({ description: "Of a message: `user`, `assistant`, `system` or `developer`." })),
    content: Type.Optional(Content),
    call_id: Type.Optional(Id),
    name: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    namespace: Type.Optional(
      Type.String({ maxLength: 256, description: "Of a function call: where its function is." }),
    ),
    arguments: Type.Optional(Type.String({ description: "Of a function call: JSON text." })),
    input: Type.Optional(Type.String({ description: "Of a custom tool's call." })),
    output: Type.Optional(Content),
    summary: Type.Optional(Type.Array(ContentPart)),
    encrypted_content: Type.Optional(Type.String()),
    status: Type.Optional(Type.String()),
  },
  { description: "An item as a response gives it, or as OpenAI's clients write it." },
);
export type InputItemBody = Static<typeof InputItem>;

const FUNCTION_FIELDS = {
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
  description: Type.Optional(Type.String()),
  parameters: Type.Optional(
    Type.Unknown({ description: "A JSON schema of the arguments. One that is none allows any object." }),
  ),
  strict: Type.Optional(
    Type.Boolean({ description: "Refuse the request when the grammar can't keep all of `parameters`. Default false." }),
  ),
  format: Type.Optional(CustomFormat),
};

const InnerTool = Type.Object({ type: Type.String({ description: "`function` or `custom`." }), ...FUNCTION_FIELDS });
export type InnerTool = Static<typeof InnerTool>;

export const ResponseTool = Type.Object({
  type: Type.String({
    description:
      "`function`, `custom`, or `namespace` with such inside. OpenAI's hosted tools are left out with a warning in `mlo.warnings`.",
  }),
  ...FUNCTION_FIELDS,
  tools: Type.Optional(Type.Array(InnerTool, { maxItems: TOOLS_MAX, description: "Of a namespace." })),
});
export type ResponseTool = Static<typeof ResponseTool>;

const ToolName = Type.Object({
  type: Type.String(),
  name: Type.Optional(Type.String()),
  namespace: Type.Optional(Type.String()),
});

const ToolChoice = Type.Union([
  Type.Literal("auto"),
  Type.Literal("none"),
  Type.Literal("required"),
  Type.Object({
    type: Type.String({ description: "`function`, `custom` or `allowed_tools`." }),
    name: Type.Optional(Type.String()),
    namespace: Type.Optional(Type.String()),
    mode: Type.Optional(Type.Union([Type.Literal("auto"), Type.Literal("required")])),
    tools: Type.Optional(Type.Array(ToolName)),
  }),
]);

const TextFormat = Type.Object({
  type: Type.Union([Type.Literal("text"), Type.Literal("json_object"), Type.Literal("json_schema")]),
  name: Type.Optional(Type.String()),
  description: Type.Optional(Type.String()),
  schema: Type.Optional(Type.Unknown({ description: "A JSON schema. One that is none allows any JSON." })),
  strict: Type.Optional(
    Type.Boolean({ description: "Refuse the request when the grammar can't keep all of `schema`." }),
  ),
});

const Reasoning = Type.Object({
  effort: Type.Optional(
    Type.String({ maxLength: 32, description: "Given to the chat template; `none` also switches its thinking off." }),
  ),
  summary: Type.Optional(
    Type.String({ maxLength: 32, description: "Set: reasoning comes as a summary, which is all of it." }),
  ),
  generate_summary: Type.Optional(Type.String({ maxLength: 32, description: "The old name of `summary`." })),
});

const ConversationRef = Type.Union([Id, Type.Object({ id: Id })]);

/** What a prompt is made of: the same for an answer and for a count. */
const PROMPT_FIELDS = {
  model: Model,
  input: Type.Optional(Type.Union([Type.String(), Type.Array(InputItem, { maxItems: ITEMS_MAX })])),
  instructions: Type.Optional(
    Type.String({ description: "System text of this response; those of a previous one do not count." }),
  ),
  previous_response_id: Type.Optional(Id),
  conversation: Type.Optional(ConversationRef),
  tools: Type.Optional(Type.Array(ResponseTool, { maxItems: TOOLS_MAX })),
  tool_choice: Type.Optional(ToolChoice),
  parallel_tool_calls: Type.Optional(Type.Boolean()),
  text: Type.Optional(
    Type.Object({
      format: Type.Optional(TextFormat),
      verbosity: Type.Optional(Type.String({ description: "Accepted." })),
    }),
  ),
  reasoning: Type.Optional(Reasoning),
  truncation: Type.Optional(
    Type.Union([Type.Literal("auto"), Type.Literal("disabled")], {
      description:
        "`auto`: where the prompt is too long, the oldest turns are left out whole, and `X-MLO-Truncated` says how many.",
    }),
  ),
  prompt: Type.Optional(Type.Object({}, { description: "Refused: prompts are not stored here." })),
  chat_template_kwargs: Type.Optional(
    Type.Record(Type.String(), Type.Unknown(), { description: "Variables for the chat template." }),
  ),
};

export const ResponseRequest = Type.Object({
  ...PROMPT_FIELDS,
  max_output_tokens: Type.Optional(Type.Integer({ minimum: 1, maximum: 2_147_483_647 })),
  metadata: Type.Optional(Metadata),
  store: Type.Optional(
    Type.Boolean({
      description: "Keep the response, so that it can be continued. Default true; with `X-MLO-KV: off` false.",
    }),
  ),
  stream: Type.Optional(Type.Boolean({ description: "Answer as server-sent events." })),
  stream_options: Type.Optional(Type.Object({})),
  background: Type.Optional(
    Type.Boolean({ description: "Answer at once, and go on without the client. Needs `store`." }),
  ),
  include: Type.Optional(
    Type.Array(Type.String(), {
      maxItems: 32,
      description:
        "`reasoning.encrypted_content` adds the reasoning in a form that clients send back as it is; " +
        "`message.output_text.logprobs` the log probabilities of the text's tokens.",
    }),
  ),
  user: Type.Optional(Type.String()),
  safety_identifier: Type.Optional(Type.String()),
  prompt_cache_key: Type.Optional(
    Type.String({ description: "Names the conversation, like `X-MLO-Session`, where nothing else does." }),
  ),
  service_tier: Type.Optional(Type.String()),
  top_logprobs: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 20, description: "So many likely tokens with each one of the text." }),
  ),
  max_tool_calls: Type.Optional(Type.Integer({ minimum: 1, description: "Of hosted tools, so accepted." })),
  ...LORA_FIELDS,
  ...MLO_FIELDS,
  ...SAMPLING_FIELDS,
});
export type ResponseRequest = Static<typeof ResponseRequest>;

export const InputTokensRequest = Type.Object(PROMPT_FIELDS);
export type InputTokensRequest = Static<typeof InputTokensRequest>;

export const CompactRequest = Type.Object({
  model: Model,
  input: PROMPT_FIELDS.input,
  instructions: PROMPT_FIELDS.instructions,
  previous_response_id: PROMPT_FIELDS.previous_response_id,
  prompt_cache_key: Type.Optional(Type.String({ description: "Accepted." })),
  mlo: MLO_FIELDS.mlo,
});
export type CompactRequest = Static<typeof CompactRequest>;

export const ConversationRequest = Type.Object({
  items: Type.Optional(Type.Array(InputItem, { maxItems: ITEMS_MAX })),
  metadata: Type.Optional(Metadata),
});
export type ConversationRequest = Static<typeof ConversationRequest>;

export const ConversationUpdate = Type.Object({ metadata: Metadata });
export type ConversationUpdate = Static<typeof ConversationUpdate>;

export const ConversationItemsRequest = Type.Object({
  items: Type.Array(InputItem, { minItems: 1, maxItems: ITEMS_MAX }),
});
export type ConversationItemsRequest = Static<typeof ConversationItemsRequest>;
