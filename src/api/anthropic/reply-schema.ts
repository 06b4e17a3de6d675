// The shapes of Anthropic's responses and stream events as we send them: the only source of their types and
// documentation.

import { type Static, Type } from "@sinclair/typebox";
import { ERROR_KINDS } from "../../protocol/errors.ts";
import { MloReply } from "../cache-report.ts";

const orNull = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) => Type.Union([schema, Type.Null()]);

const TextReply = Type.Object({ type: Type.Literal("text"), text: Type.String() });

const ThinkingReply = Type.Object({
  type: Type.Literal("thinking"),
  thinking: Type.String({ description: "Empty with `display: omitted`." }),
  signature: Type.String({ description: "Nothing is signed: it says where the block comes from." }),
});

const ToolUseReply = Type.Object({
  type: Type.Literal("tool_use"),
  id: Type.String(),
  name: Type.String(),
  input: Type.Unknown({ description: "An object; empty where the answer was cut within it." }),
});

const BlockReply = Type.Union([TextReply, ThinkingReply, ToolUseReply]);
export type BlockReply = Static<typeof BlockReply>;

export const StopReason = Type.Union(
  [
    Type.Literal("end_turn"),
    Type.Literal("max_tokens"),
    Type.Literal("stop_sequence"),
    Type.Literal("tool_use"),
    Type.Literal("model_context_window_exceeded"),
  ],
  { description: "`model_context_window_exceeded`: the context was full before `max_tokens`." },
);
export type StopReason = Static<typeof StopReason>;

const COUNTS = {
  input_tokens: Type.Integer({ description: "Prompt tokens that the other two do not count." }),
  cache_creation_input_tokens: Type.Integer({
    description: "With `cache_control`: prompt tokens that were computed, and are kept.",
  }),
  cache_read_input_tokens: Type.Integer({ description: "Prompt tokens that were not computed for this request." }),
  output_tokens: Type.Integer(),
};

const UsageReply = Type.Object({
  ...COUNTS,
  cache_creation: Type.Object({
    ephemeral_5m_input_tokens: Type.Integer(),
    ephemeral_1h_input_tokens: Type.Integer(),
  }),
  service_tier: Type.Literal("standard"),
});
export type UsageReply = Static<typeof UsageReply>;

const DeltaUsage = Type.Object(COUNTS);
export type DeltaUsage = Static<typeof DeltaUsage>;

export const MessageReply = Type.Object({
  id: Type.String(),
  type: Type.Literal("message"),
  role: Type.Literal("assistant"),
  model: Type.String(),
  content: Type.Array(BlockReply),
  stop_reason: orNull(StopReason),
  stop_sequence: orNull(Type.String()),
  usage: UsageReply,
  mlo: Type.Optional(MloReply),
});
export type MessageReply = Static<typeof MessageReply>;

const BlockDelta = Type.Union([
  Type.Object({ type: Type.Literal("text_delta"), text: Type.String() }),
  Type.Object({ type: Type.Literal("thinking_delta"), thinking: Type.String() }),
  Type.Object({ type: Type.Literal("signature_delta"), signature: Type.String() }),
  Type.Object({ type: Type.Literal("input_json_delta"), partial_json: Type.String() }),
]);

export const AnthropicErrorReply = Type.Object({
  type: Type.Literal("error"),
  error: Type.Object({
    type: Type.String({ description: "Anthropic's class of error." }),
    message: Type.String(),
    code: Type.Union(Object.keys(ERROR_KINDS).map((code) => Type.Literal(code))),
    param: orNull(Type.String({ description: "The path of the field at fault." })),
    hint: Type.String({ description: "What to do about it." }),
    details: Type.Optional(
      Type.Object(
        { error_code: Type.String(), unsupported: Type.Array(Type.String()) },
        { description: "Of a refused `thread`: clients read it." },
      ),
    ),
  }),
  request_id: Type.String(),
});
export type AnthropicErrorReply = Omit<Static<typeof AnthropicErrorReply>, "request_id">;

/** One `data:` line; the line `event:` before it has its `type`. */
export const MessageEvent = Type.Union([
  Type.Object({ type: Type.Literal("message_start"), message: MessageReply }),
  Type.Object({ type: Type.Literal("ping") }),
  Type.Object({ type: Type.Literal("content_block_start"), index: Type.Integer(), content_block: BlockReply }),
  Type.Object({ type: Type.Literal("content_block_delta"), index: Type.Integer(), delta: BlockDelta }),
  Type.Object({ type: Type.Literal("content_block_stop"), index: Type.Integer() }),
  Type.Object({
    type: Type.Literal("message_delta"),
    delta: Type.Object({ stop_reason: StopReason, stop_sequence: orNull(Type.String()) }),
    usage: DeltaUsage,
    mlo: MloReply,
  }),
  Type.Object({ type: Type.Literal("message_stop") }),
  AnthropicErrorReply,
]);
export type MessageEvent = Exclude<Static<typeof MessageEvent>, { type: "error" }>;

export const CountTokensReply = Type.Object({ input_tokens: Type.Integer() });
export type CountTokensReply = Static<typeof CountTokensReply>;

export const AnthropicModelReply = Type.Object({
  id: Type.String(),
  type: Type.Literal("model"),
  display_name: Type.String(),
  created_at: Type.String({ description: "The file's modification time, RFC 3339." }),
  max_input_tokens: orNull(Type.Integer({ description: "Most tokens of one request, prompt and answer." })),
  max_tokens: orNull(Type.Integer({ description: "The same number: prompt and answer share the context." })),
  lifecycle: Type.Literal("active"),
});
export type AnthropicModelReply = Static<typeof AnthropicModelReply>;

export const AnthropicModelListReply = Type.Object({
  data: Type.Array(AnthropicModelReply),
  has_more: Type.Boolean(),
  first_id: orNull(Type.String()),
  last_id: orNull(Type.String()),
});
export type AnthropicModelListReply = Static<typeof AnthropicModelListReply>;
