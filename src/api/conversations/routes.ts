// Routes of conversations: made, shown, changed, deleted. What responses add to one is in responses/archive.ts.

import type { Elysia } from "elysia";
import { AppError } from "../../protocol/errors.ts";
import type { StoredConversation } from "../../state/conversation-store.ts";
import type { State } from "../../state/state.ts";
import { BodyReader } from "../body.ts";
import type { ApiContext } from "../options.ts";
import { createId } from "../request-id.ts";
import type { ConversationReply, DeletedReply } from "../responses/reply-schema.ts";
import { ConversationRequest, ConversationUpdate } from "../responses/schema.ts";
import { describeRoute } from "../route-docs.ts";
import { addItemRoutes, readNewItems } from "./items.ts";

const PATH = "/v1/conversations/:conversation_id";

const creations = new BodyReader(ConversationRequest);
const updates = new BodyReader(ConversationUpdate);

export function addConversationRoutes(app: Elysia, api: ApiContext): void {
  const { state, options, clock } = api;
  app.post(
    "/v1/conversations",
    async ({ request }) => {
      const { items = [], metadata = {} } = await creations.read(request, options.bodyBytesMax, clock);
      const stored = state.conversations.create(createId("conv_"), metadata, readNewItems(state, items));
      return Response.json(encodeConversation(stored));
    },
    { detail: CREATE_DOCS },
  );
  app.get(PATH, ({ params }) => Response.json(encodeConversation(findConversation(state, params.conversation_id))), {
    detail: GET_DOCS,
  });
  app.post(
    PATH,
    async ({ request, params: { conversation_id: id } }) => {
      const { metadata } = await updates.read(request, options.bodyBytesMax, clock);
      if (!state.conversations.setMetadata(id, metadata)) throw noConversation(id);
      return Response.json(encodeConversation(findConversation(state, id)));
    },
    { detail: UPDATE_DOCS },
  );
  app.delete(
    PATH,
    ({ params: { conversation_id: id } }) => {
      if (!state.conversations.delete(id)) throw noConversation(id);
      const reply: DeletedReply = { id, object: "conversation.deleted", deleted: true };
      return Response.json(reply);
    },
    { detail: DELETE_DOCS },
  );
  addItemRoutes(app, api, findConversation);
}

/** Throws `not_found`. */
function findConversation(state: State, id: string): StoredConversation {
  const stored = state.conversations.read(id);
  if (stored === null) throw noConversation(id);
  return stored;
}

function noConversation(id: string): AppError {
  const message = `there is no conversation ${JSON.stringify(id.slice(0, 200))}`;
  const hint = "POST /v1/conversations makes one.";
  return new AppError({ code: "not_found", message, hint, param: "conversation_id" });
}

function encodeConversation({ id, createdMs, metadata }: StoredConversation): ConversationReply {
  const texts = metadata as ConversationReply["metadata"];
  return { id, object: "conversation", created_at: Math.floor(createdMs / 1000), metadata: texts };
}

const ID = {
  name: "conversation_id",
  description: "The conversation's id.",
  example: "conv_0123456789abcdef0123456789abcdef",
};

const CREATE_DOCS = describeRoute({
  operationId: "createConversation",
  tag: "OpenAI",
  summary: "Begin a conversation",
  description: "Responses that name it in `conversation` continue it, and add their input and output to it.",
  body: {
    schema: "ConversationRequest",
    examples: {
      empty: {},
      begun: { metadata: { topic: "demo" }, items: [{ type: "message", role: "user", content: "Hello!" }] },
    },
  },
  reply: { schema: "ConversationReply", description: "The conversation." },
  errors: ["invalid_request", "not_supported", "not_found", "payload_too_large", "timeout", "storage_unavailable"],
});

const GET_DOCS = describeRoute({
  operationId: "getConversation",
  tag: "OpenAI",
  summary: "Show a conversation",
  pathParameters: [ID],
  reply: { schema: "ConversationReply", description: "The conversation." },
  errors: ["not_found", "storage_unavailable"],
});

const UPDATE_DOCS = describeRoute({
  operationId: "updateConversation",
  tag: "OpenAI",
  summary: "Change a conversation's metadata",
  description: "All of it: what is not sent is gone.",
  pathParameters: [ID],
  body: { schema: "ConversationUpdate", examples: { topic: { metadata: { topic: "demo" } } } },
  reply: { schema: "ConversationReply", description: "The conversation." },
  errors: ["invalid_request", "not_found", "payload_too_large", "timeout", "storage_unavailable"],
});

const DELETE_DOCS = describeRoute({
  operationId: "deleteConversation",
  tag: "OpenAI",
  summary: "Delete a conversation",
  description: "With its items. Responses that were made in it stay.",
  pathParameters: [ID],
  reply: { schema: "DeletedReply", description: "It is deleted." },
  errors: ["not_found", "storage_unavailable"],
});
