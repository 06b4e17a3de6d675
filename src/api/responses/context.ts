// What a request continues: the items of the responses before it, or of its conversation, and those that it names by
// their ids. Reads the state and changes nothing but the time of last use.

import { AppError } from "../../protocol/errors.ts";
import type { StoredItem } from "../../state/items.ts";
import type { ChainLink } from "../../state/response-store.ts";
import type { State } from "../../state/state.ts";
import { invalidField } from "../openai/limits.ts";
import { type InputItem, readInput } from "./items.ts";
import type { Item } from "./reply-schema.ts";
import { ITEMS_MAX, type ResponseRequest } from "./schema.ts";

export interface Context {
  /** What came before, oldest first. */
  history: Item[];
  /** What this request adds. */
  input: Item[];
  previousId: string | null;
  conversationId: string | null;
  /** The engine's name for what is continued; null where nothing is. */
  session: string | null;
}

type ContextBody = Pick<ResponseRequest, "input" | "instructions" | "previous_response_id" | "conversation" | "prompt">;

/** Throws `not_found` for what is not stored, and `invalid_request` for what can't be continued. */
export function readContext(state: State, body: ContextBody): Context {
  const { previous_response_id: previousId = null, conversation } = body;
  if (body.prompt !== undefined) {
    const message = "`prompt` is not supported: prompts are not stored here";
    throw new AppError({ code: "not_supported", message, param: "prompt" });
  }
  if (previousId !== null && conversation !== undefined) {
    throw invalidField("conversation", "and `previous_response_id` exclude each other");
  }
  const input = readInput(body.input, "input").map((item, index) => resolveItem(state, item, `input[${index}]`));
  const conversationId = typeof conversation === "object" ? conversation.id : (conversation ?? null);
  let context: Context = { history: [], input, previousId, conversationId, session: null };
  if (previousId !== null) context = { ...context, ...readPrevious(state, previousId) };
  if (conversationId !== null) {
    context = { ...context, history: readConversation(state, conversationId), session: conversationId };
  }
  checkItems(context, body.instructions !== undefined && body.instructions !== "");
  return context;
}

export function toItem({ body }: StoredItem): Item {
  return body as Item;
}

export function toStored(item: Item): StoredItem {
  return { id: item.id, body: { ...item } };
}

/** Throws `not_found` for the name of an item that is not stored; `at` is its path. */
export function resolveItem(state: State, item: InputItem, at: string): Item {
  if (item.type !== "item_reference") return item;
  const stored = state.responses.findItem(item.id);
  if (stored !== null) return toItem(stored);
  const hint = "Send the item itself: it was not stored, or is stored no more.";
  const message = `there is no item ${JSON.stringify(item.id)}`;
  throw new AppError({ code: "not_found", message, hint, param: `${at}.id` });
}

function readPrevious(state: State, id: string): Pick<Context, "history" | "session"> {
  const chain = state.responses.readChain(id, ITEMS_MAX);
  const param = "previous_response_id";
  if (chain.kind === "broken") {
    const missing = JSON.stringify(chain.missing);
    const message =
      chain.after === null
        ? `there is no response ${missing}`
        : `the response ${missing}, which ${JSON.stringify(id)} continues, is stored no more`;
    const hint = "Send the whole conversation as `input`: it was deleted, not stored, or unused for long.";
    throw new AppError({ code: "not_found", message, hint, param });
  }
  const last = chain.links.at(-1);
  if (last?.status === "queued" || last?.status === "in_progress") {
    throw invalidField(param, "names a response that is not complete yet");
  }
  return { history: chain.links.flatMap(readLink), session: last?.session ?? null };
}

function readLink({ input, output }: ChainLink): Item[] {
  return [...input, ...output].map(toItem);
}

function readConversation(state: State, id: string): Item[] {
  const items = state.conversations.readItems(id);
  if (items !== null) return items.map(toItem);
  const message = `there is no conversation ${JSON.stringify(id)}`;
  throw new AppError({ code: "not_found", message, hint: "POST /v1/conversations makes one.", param: "conversation" });
}

function checkItems({ history, input }: Context, hasInstructions: boolean): void {
  const count = history.length + input.length;
  if (count > ITEMS_MAX) {
    throw invalidField("input", `makes a conversation of ${count} items, at most ${ITEMS_MAX} are read`);
  }
  if (count === 0 && !hasInstructions) throw invalidField("input", "is required: a text or items");
  const isCall = ({ type }: Item) => type === "function_call" || type === "custom_tool_call";
  const calls = new Set(
    [...history, ...input].flatMap((item) => ("call_id" in item && isCall(item) ? item.call_id : [])),
  );
  for (const [index, item] of input.entries()) {
    if ("call_id" in item && !calls.has(item.call_id)) {
      throw invalidField(`input[${index}].call_id`, "answers no call of this conversation");
    }
  }
}
