// Routes of a conversation's items: listed, added, shown, deleted.

import type { Elysia } from "elysia";
import { AppError } from "../../protocol/errors.ts";
import type { StoredConversation } from "../../state/conversation-store.ts";
import type { StoredItem } from "../../state/items.ts";
import type { State } from "../../state/state.ts";
import { BodyReader } from "../body.ts";
import { encodePage, PAGE_QUERY_DOCS, readPageRequest } from "../list-pages.ts";
import type { ApiContext } from "../options.ts";
import { resolveItem, toStored } from "../responses/context.ts";
import { readInput } from "../responses/items.ts";
import { ConversationItemsRequest, type InputItemBody } from "../responses/schema.ts";
import { describeRoute } from "../route-docs.ts";

const PATH = "/v1/conversations/:conversation_id/items";

const bodies = new BodyReader(ConversationItemsRequest);

/** `find` throws `not_found`. */
export function addItemRoutes(
  app: Elysia,
  { state, options, clock }: ApiContext,
  find: (state: State, id: string) => StoredConversation,
): void {
  app.get(
    PATH,
    ({ params: { conversation_id: id }, request }) => {
      const page = readPageRequest(new URL(request.url).searchParams);
      find(state, id);
      return Response.json(encodePage(state.conversations.readPage(id, page)));
    },
    { detail: LIST_DOCS },
  );
  app.post(
    PATH,
    async ({ params: { conversation_id: id }, request }) => {
      const body = await bodies.read(request, options.bodyBytesMax, clock);
      find(state, id);
      const items = readNewItems(state, body.items);
      state.conversations.append(id, items);
      return Response.json(encodePage({ items, hasMore: false }));
    },
    { detail: ADD_DOCS },
  );
  app.get(
    `${PATH}/:item_id`,
    ({ params: { conversation_id: id, item_id } }) => {
      find(state, id);
      const item = state.conversations.readItem(id, item_id);
      if (item === null) throw noItem(item_id);
      return Response.json(item.body);
    },
    { detail: GET_DOCS },
  );
  app.delete(
    `${PATH}/:item_id`,
    ({ params: { conversation_id: id, item_id } }) => {
      const { createdMs, metadata } = find(state, id);
      if (!state.conversations.deleteItem(id, item_id)) throw noItem(item_id);
      return Response.json({ id, object: "conversation", created_at: Math.floor(createdMs / 1000), metadata });
    },
    { detail: DELETE_DOCS },
  );
}

export function readNewItems(state: State, bodies: readonly InputItemBody[]): StoredItem[] {
  return readInput(bodies, "items").map((item, index) => toStored(resolveItem(state, item, `items[${index}]`)));
}

function noItem(id: string): AppError {
  const message = `there is no item ${JSON.stringify(id.slice(0, 200))} in this conversation`;
  return new AppError({ code: "not_found", message, hint: "List its items.", param: "item_id" });
}

const ID = {
  name: "conversation_id",
  description: "The conversation's id.",
  example: "conv_0123456789abcdef0123456789abcdef",
};
const ITEM_ID = { name: "item_id", description: "The item's id.", example: "msg_0123456789abcdef0123456789abcdef" };

const LIST_DOCS = describeRoute({
  operationId: "listConversationItems",
  tag: "OpenAI",
  summary: "List a conversation's items",
  pathParameters: [ID],
  query: PAGE_QUERY_DOCS,
  reply: { schema: "ItemListReply", description: "A page of items." },
  errors: ["invalid_request", "not_found", "storage_unavailable"],
});

const ADD_DOCS = describeRoute({
  operationId: "addConversationItems",
  tag: "OpenAI",
  summary: "Add items to a conversation",
  description: "At its end. One whose id is there already is that item, and not added again.",
  pathParameters: [ID],
  body: {
    schema: "ConversationItemsRequest",
    examples: { message: { items: [{ type: "message", role: "user", content: "Hello!" }] } },
  },
  reply: { schema: "ItemListReply", description: "The items that were added." },
  errors: ["invalid_request", "not_supported", "not_found", "payload_too_large", "timeout", "storage_unavailable"],
});

const GET_DOCS = describeRoute({
  operationId: "getConversationItem",
  tag: "OpenAI",
  summary: "Show an item of a conversation",
  pathParameters: [ID, ITEM_ID],
  reply: { schema: "ResponseItem", description: "The item." },
  errors: ["not_found", "storage_unavailable"],
});

const DELETE_DOCS = describeRoute({
  operationId: "deleteConversationItem",
  tag: "OpenAI",
  summary: "Delete an item of a conversation",
  pathParameters: [ID, ITEM_ID],
  reply: { schema: "ConversationReply", description: "The conversation." },
  errors: ["not_found", "storage_unavailable"],
});
