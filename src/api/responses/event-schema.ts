// The events of a response's stream as the OpenAPI document shows them: which types there are, and the fields of each.

import { type TProperties, Type } from "@sinclair/typebox";
import { ChatLogprobsReply } from "../openai/reply-schema.ts";
import { OutputText, ResponseItem, ResponseReply } from "./reply-schema.ts";

const OUTPUT = { output_index: Type.Integer({ description: "Of the item in `output`." }) };
const ITEM = { item_id: Type.String(), ...OUTPUT };
const CONTENT = { ...ITEM, content_index: Type.Integer() };
const SUMMARY = { ...ITEM, summary_index: Type.Integer() };
const LOGPROBS = { logprobs: ChatLogprobsReply.properties.content };
const DELTA = { delta: Type.String() };
const TEXT = { text: Type.String() };

const ReasoningText = Type.Object({ type: Type.Literal("reasoning_text"), ...TEXT });
const SummaryText = Type.Object({ type: Type.Literal("summary_text"), ...TEXT });

function describeEvents(types: readonly string[], fields: TProperties) {
  return Type.Object({
    type: Type.Union(types.map((type) => Type.Literal(`response.${type}`))),
    sequence_number: Type.Integer({ description: "From 0 on." }),
    ...fields,
  });
}

/** One `data:` line; the line `event:` before it has its `type`. */
export const ResponseEventSchema = Type.Union([
  describeEvents(["created", "queued", "in_progress", "completed", "incomplete", "failed"], {
    response: ResponseReply,
  }),
  describeEvents(["output_item.added", "output_item.done"], { ...OUTPUT, item: ResponseItem }),
  describeEvents(["content_part.added", "content_part.done"], {
    ...CONTENT,
    part: Type.Union([OutputText, ReasoningText]),
  }),
  describeEvents(["output_text.delta"], { ...CONTENT, ...DELTA, ...LOGPROBS }),
  describeEvents(["output_text.done"], { ...CONTENT, ...TEXT, ...LOGPROBS }),
  describeEvents(["reasoning_text.delta"], { ...CONTENT, ...DELTA }),
  describeEvents(["reasoning_text.done"], { ...CONTENT, ...TEXT }),
  describeEvents(["reasoning_summary_part.added", "reasoning_summary_part.done"], { ...SUMMARY, part: SummaryText }),
  describeEvents(["reasoning_summary_text.delta"], { ...SUMMARY, ...DELTA }),
  describeEvents(["reasoning_summary_text.done"], { ...SUMMARY, ...TEXT }),
  describeEvents(["function_call_arguments.delta"], { ...ITEM, ...DELTA }),
  describeEvents(["function_call_arguments.done"], { ...ITEM, name: Type.String(), arguments: Type.String() }),
  describeEvents(["custom_tool_call_input.delta"], { ...ITEM, ...DELTA }),
  describeEvents(["custom_tool_call_input.done"], { ...ITEM, input: Type.String() }),
  Type.Object(
    {
      type: Type.Literal("error"),
      sequence_number: Type.Integer(),
      code: Type.String(),
      message: Type.String(),
      param: Type.Null(),
    },
    { description: "The stream can't go on, though the response does." },
  ),
]);
