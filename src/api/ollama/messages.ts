// Ollama's messages → the domain's. Pure. Its tool calls often have no ids and their results only the tool's name; many
// templates need ids, so calls get numbers and results are matched with them, the same for the same conversation.

import type { ChatMessage } from "../../protocol/generation.ts";
import { isJsonTooDeep, NESTING_MAX } from "../body-shape.ts";
import { invalidField, refuse } from "../openai/limits.ts";
import type { MessageBody } from "./schema.ts";

interface OpenCall {
  id: string;
  name: string;
}

/** Throws `invalid_request` and `not_supported` with the path of the field. */
export function readMessages(bodies: readonly MessageBody[]): ChatMessage[] {
  const open: OpenCall[] = [];
  let count = 0;
  return bodies.map((body, at) => {
    refuseImages(body.images, `messages[${at}].images`);
    const message: ChatMessage = { role: body.role === "developer" ? "system" : body.role };
    const calls = (body.tool_calls ?? []).map(({ id, function: { name, arguments: given = {} } }, call) => {
      const named = { id: id ?? `call_${count}`, name };
      count += 1;
      open.push(named);
      return {
        id: named.id,
        type: "function" as const,
        function: { name, arguments: writeArguments(given, `messages[${at}].tool_calls[${call}].function.arguments`) },
      };
    });
    if (body.content !== undefined) message.content = body.content;
    else if (body.role !== "assistant") throw invalidField(`messages[${at}].content`, "is required: a string");
    else message.content = calls.length > 0 ? null : "";
    if (body.thinking !== undefined && body.thinking !== "") message.reasoning_content = body.thinking;
    if (calls.length > 0) message.tool_calls = calls;
    if (body.role === "tool") addOrigin(message, body, open);
    return message;
  });
}

export function refuseImages(images: readonly string[] | undefined, param: string): void {
  if (images !== undefined && images.length > 0) refuse(param, "no model here can see");
}

/** Which call a result belongs to: the one that it names, else the first that is open and of that tool, or of any. */
function addOrigin(message: ChatMessage, body: MessageBody, open: OpenCall[]): void {
  const { tool_call_id: id, tool_name: name } = body;
  let at = open.findIndex((call) => (id === undefined ? name === undefined || call.name === name : call.id === id));
  if (at < 0 && id === undefined) at = 0;
  const [call] = open.splice(Math.max(at, 0), at < 0 ? 0 : 1);
  const origin = id ?? call?.id;
  if (origin !== undefined) message.tool_call_id = origin;
  const tool = name ?? call?.name;
  if (tool !== undefined) message.name = tool;
}

function writeArguments(given: string | Record<string, unknown>, param: string): string {
  const text = typeof given === "string" ? given : JSON.stringify(given);
  if (isJsonTooDeep(text)) throw invalidField(param, `are nested over ${NESTING_MAX} levels`);
  return text;
}
