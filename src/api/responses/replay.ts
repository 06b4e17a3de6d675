// A stored response as a stream, for clients that ask for one although none was kept: the same events in the same order,
// each text in one piece. The same response always gives the same events. Pure.

import type { UnnumberedEvent } from "./output-items.ts";
import type {
  CustomCallItem,
  FunctionCallItem,
  MessageItem,
  OutputItem,
  ReasoningItem,
  ResponseEvent,
  ResponseReply,
} from "./reply-schema.ts";

export function replayResponse(reply: ResponseReply, lastEvent: string): ResponseEvent[] {
  const begun: ResponseReply = {
    ...reply,
    status: "in_progress",
    output: [],
    usage: null,
    error: null,
    incomplete_details: null,
    completed_at: null,
  };
  const events: UnnumberedEvent[] = [
    { type: "response.created", response: begun },
    { type: "response.in_progress", response: begun },
    ...reply.output.flatMap(replayItem),
    { type: lastEvent, response: reply },
  ];
  return events.map(({ type, ...fields }, at) => ({ type, sequence_number: at, ...fields }));
}

function replayItem(item: OutputItem, index: number): UnnumberedEvent[] {
  const at = { item_id: item.id, output_index: index };
  const [empty, inner] = unfold(item, at);
  return [
    { type: "response.output_item.added", output_index: index, item: { ...empty, status: "in_progress" } },
    ...inner,
    { type: "response.output_item.done", output_index: index, item },
  ];
}

type Place = { item_id: string; output_index: number };

/** The item as it began, and the events between its first and its last. */
function unfold(item: OutputItem, at: Place): [OutputItem, UnnumberedEvent[]] {
  switch (item.type) {
    case "message":
      return [{ ...item, content: [] }, unfoldMessage(item, at)];
    case "function_call":
      return [{ ...item, arguments: "" }, unfoldCall(item, at)];
    case "custom_tool_call":
      return [{ ...item, input: "" }, unfoldCustomCall(item, at)];
    case "reasoning":
      return [{ type: "reasoning", id: item.id, summary: [], status: item.status }, unfoldReasoning(item, at)];
  }
}

function unfoldMessage({ content }: MessageItem, at: Place): UnnumberedEvent[] {
  return content.flatMap((part, content_index) => {
    if (part.type !== "output_text") return [];
    const place = { ...at, content_index };
    return [
      { type: "response.content_part.added", ...place, part: { ...part, text: "" } },
      { type: "response.output_text.delta", ...place, delta: part.text, logprobs: part.logprobs },
      { type: "response.output_text.done", ...place, text: part.text, logprobs: part.logprobs },
      { type: "response.content_part.done", ...place, part },
    ];
  });
}

function unfoldCall({ arguments: text, name }: FunctionCallItem, at: Place): UnnumberedEvent[] {
  return [
    { type: "response.function_call_arguments.delta", ...at, delta: text },
    { type: "response.function_call_arguments.done", ...at, name, arguments: text },
  ];
}

function unfoldCustomCall({ input }: CustomCallItem, at: Place): UnnumberedEvent[] {
  return [
    { type: "response.custom_tool_call_input.delta", ...at, delta: input },
    { type: "response.custom_tool_call_input.done", ...at, input },
  ];
}

function unfoldReasoning({ content = [], summary }: ReasoningItem, at: Place): UnnumberedEvent[] {
  const contents = content.flatMap((part, content_index) => {
    const place = { ...at, content_index };
    return [
      { type: "response.content_part.added", ...place, part: { ...part, text: "" } },
      { type: "response.reasoning_text.delta", ...place, delta: part.text },
      { type: "response.reasoning_text.done", ...place, text: part.text },
      { type: "response.content_part.done", ...place, part },
    ];
  });
  const summaries = summary.flatMap((part, summary_index) => {
    const place = { ...at, summary_index };
    return [
      { type: "response.reasoning_summary_part.added", ...place, part: { ...part, text: "" } },
      { type: "response.reasoning_summary_text.delta", ...place, delta: part.text },
      { type: "response.reasoning_summary_text.done", ...place, text: part.text },
      { type: "response.reasoning_summary_part.done", ...place, part },
    ];
  });
  return [...contents, ...summaries];
}
