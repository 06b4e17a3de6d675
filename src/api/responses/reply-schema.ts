// The shapes of responses, items and conversations as we send them: the only source of their types and documentation.

import { type Static, Type } from "@sinclair/typebox";
import { CacheReply } from "../cache-report.ts";
import type { OutputWarning } from "../output-warnings.ts";
import { Truncation } from "../truncation.ts";
import { Metadata, ResponseTool } from "./schema.ts";

const orNull = <S extends Parameters<typeof Type.Union>[0][number]>(schema: S) => Type.Union([schema, Type.Null()]);

const ItemStatus = Type.Union([Type.Literal("in_progress"), Type.Literal("completed"), Type.Literal("incomplete")]);
export type ItemStatus = Static<typeof ItemStatus>;

export const OutputText = Type.Object({
  type: Type.Literal("output_text"),
  text: Type.String(),
  annotations: Type.Array(Type.Unknown()),
  logprobs: Type.Array(Type.Unknown()),
});

const InputText = Type.Object({ type: Type.Literal("input_text"), text: Type.String() });
const Refusal = Type.Object({ type: Type.Literal("refusal"), refusal: Type.String() });
export const MessagePart = Type.Union([OutputText, InputText, Refusal]);
export type MessagePart = Static<typeof MessagePart>;

export const MessageItem = Type.Object({
  type: Type.Literal("message"),
  id: Type.String(),
  role: Type.Union(["user", "assistant", "system", "developer"].map((role) => Type.Literal(role))),
  status: ItemStatus,
  content: Type.Array(MessagePart),
});
export type MessageItem = Omit<Static<typeof MessageItem>, "role"> & {
  role: "user" | "assistant" | "system" | "developer";
};

export const FunctionCallItem = Type.Object({
  type: Type.Literal("function_call"),
  id: Type.String(),
  call_id: Type.String(),
  name: Type.String(),
  namespace: Type.Optional(Type.String({ description: "Where the function is, if in one." })),
  arguments: Type.String(),
  status: ItemStatus,
});
export type FunctionCallItem = Static<typeof FunctionCallItem>;

export const FunctionOutputItem = Type.Object({
  type: Type.Literal("function_call_output"),
  id: Type.String(),
  call_id: Type.String(),
  output: Type.Union([Type.String(), Type.Array(MessagePart)]),
  status: ItemStatus,
});
export type FunctionOutputItem = Static<typeof FunctionOutputItem>;

export const CustomCallItem = Type.Object({
  type: Type.Literal("custom_tool_call"),
  id: Type.String(),
  call_id: Type.String(),
  name: Type.String(),
  namespace: Type.Optional(Type.String({ description: "Where the tool is, if in one." })),
  input: Type.String(),
  status: ItemStatus,
});
export type CustomCallItem = Static<typeof CustomCallItem>;

export const CustomOutputItem = Type.Object({
  ...FunctionOutputItem.properties,
  type: Type.Literal("custom_tool_call_output"),
});
export type CustomOutputItem = Static<typeof CustomOutputItem>;

export const ReasoningItem = Type.Object({
  type: Type.Literal("reasoning"),
  id: Type.String(),
  summary: Type.Array(Type.Object({ type: Type.Literal("summary_text"), text: Type.String() })),
  content: Type.Optional(Type.Array(Type.Object({ type: Type.Literal("reasoning_text"), text: Type.String() }))),
  encrypted_content: Type.Optional(
    orNull(Type.String({ description: "The text itself in base64: it never leaves this machine but by the client." })),
  ),
  status: ItemStatus,
});
export type ReasoningItem = Static<typeof ReasoningItem>;

export const CompactionItem = Type.Object({
  type: Type.Literal("compaction"),
  id: Type.String(),
  encrypted_content: Type.String({ description: "A summary of what came before, in base64." }),
});
export type CompactionItem = Static<typeof CompactionItem>;

export const ResponseItem = Type.Union([
  MessageItem,
  FunctionCallItem,
  FunctionOutputItem,
  CustomCallItem,
  CustomOutputItem,
  ReasoningItem,
  CompactionItem,
]);
export type OutputItem = MessageItem | FunctionCallItem | CustomCallItem | ReasoningItem;
export type Item = OutputItem | FunctionOutputItem | CustomOutputItem | CompactionItem;

export const ResponseUsage = Type.Object({
  input_tokens: Type.Integer(),
  input_tokens_details: Type.Object({ cached_tokens: Type.Integer() }),
  output_tokens: Type.Integer(),
  output_tokens_details: Type.Object({
    reasoning_tokens: Type.Integer({ description: "By the reasoning's share of the characters." }),
  }),
  total_tokens: Type.Integer(),
});
export type ResponseUsage = Static<typeof ResponseUsage>;

const RESPONSE_STATUSES = ["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"] as const;
export type ResponseStatus = (typeof RESPONSE_STATUSES)[number];

/** Further codes than those of schemas. */
const WARNING_CODES = ["tool_left_out", "not_stored", "logprobs_cut", "summary_cut"] as const;

export const ResponseWarning = Type.Object({
  code: Type.String({
    description: `\`${WARNING_CODES.join("`, `")}\`, or one about a schema, as in chats: \`schema_relaxed\` and others.`,
  }),
  tool: Type.Optional(Type.String()),
  path: Type.String({ description: "The field of the request or of the response, then a JSON pointer into it." }),
  message: Type.String(),
});
export type ResponseWarning = OutputWarning | { code: (typeof WARNING_CODES)[number]; path: string; message: string };

const ResponseMlo = Type.Object({
  cache: Type.Optional(CacheReply),
  dropped_tokens: Type.Optional(Type.Integer({ description: "With `context_shift`: tokens that left the context." })),
  truncated: Type.Optional(Truncation),
  warnings: Type.Optional(Type.Array(ResponseWarning, { description: "What does not go as the request has it." })),
});
export type ResponseMlo = Omit<Static<typeof ResponseMlo>, "warnings"> & { warnings?: ResponseWarning[] };

export const ResponseReply = Type.Object({
  id: Type.String(),
  object: Type.Literal("response"),
  created_at: Type.Integer({ description: "Seconds since the epoch." }),
  completed_at: orNull(Type.Integer()),
  status: Type.Union(RESPONSE_STATUSES.map((status) => Type.Literal(status))),
  background: Type.Boolean(),
  error: orNull(Type.Object({ code: Type.String(), message: Type.String(), hint: Type.String() })),
  incomplete_details: orNull(Type.Object({ reason: Type.String() })),
  instructions: orNull(Type.String()),
  max_output_tokens: orNull(Type.Integer()),
  max_tool_calls: orNull(Type.Integer()),
  model: Type.String(),
  output: Type.Array(ResponseItem),
  parallel_tool_calls: Type.Boolean(),
  previous_response_id: orNull(Type.String()),
  conversation: orNull(Type.Object({ id: Type.String() })),
  prompt_cache_key: orNull(Type.String()),
  reasoning: Type.Object({ effort: orNull(Type.String()), summary: orNull(Type.String()) }),
  safety_identifier: orNull(Type.String()),
  service_tier: Type.String(),
  store: Type.Boolean(),
  temperature: orNull(Type.Number()),
  text: Type.Object({
    format: Type.Object({ type: Type.String() }, { additionalProperties: true, description: "As the request has it." }),
    verbosity: Type.String(),
  }),
  tool_choice: Type.Unknown(),
  tools: Type.Array(ResponseTool),
  top_logprobs: Type.Integer(),
  top_p: orNull(Type.Number()),
  truncation: Type.String(),
  usage: orNull(ResponseUsage),
  user: orNull(Type.String()),
  metadata: Metadata,
  mlo: ResponseMlo,
});
export type ResponseReply = Omit<Static<typeof ResponseReply>, "status" | "output" | "mlo"> & {
  status: ResponseStatus;
  output: OutputItem[];
  mlo: ResponseMlo;
};

/** What its types have besides is in event-schema.ts. */
export interface ResponseEvent {
  type: string;
  sequence_number: number;
}

export const DeletedReply = Type.Object({
  id: Type.String(),
  object: Type.String({ description: "`response.deleted` or `conversation.deleted`." }),
  deleted: Type.Literal(true),
});
export type DeletedReply = Static<typeof DeletedReply>;

export const ItemListReply = Type.Object({
  object: Type.Literal("list"),
  data: Type.Array(ResponseItem),
  first_id: orNull(Type.String()),
  last_id: orNull(Type.String()),
  has_more: Type.Boolean(),
});

export const InputTokensReply = Type.Object({
  object: Type.Literal("response.input_tokens"),
  input_tokens: Type.Integer(),
});
export type InputTokensReply = Static<typeof InputTokensReply>;

export const CompactReply = Type.Object({
  id: Type.String(),
  object: Type.Literal("response.compaction"),
  created_at: Type.Integer({ description: "Seconds since the epoch." }),
  output: Type.Array(ResponseItem),
  usage: ResponseUsage,
  mlo: ResponseMlo,
});
export type CompactReply = Omit<Static<typeof CompactReply>, "output" | "mlo"> & { output: Item[]; mlo: ResponseMlo };

export const ConversationReply = Type.Object({
  id: Type.String(),
  object: Type.Literal("conversation"),
  created_at: Type.Integer({ description: "Seconds since the epoch." }),
  metadata: Metadata,
});
export type ConversationReply = Static<typeof ConversationReply>;
