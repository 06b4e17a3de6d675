// The schemas that the documentation of responses and conversations names.

import type { TSchema } from "@sinclair/typebox";
import { ResponseEventSchema } from "./event-schema.ts";
import {
  CompactReply,
  ConversationReply,
  DeletedReply,
  InputTokensReply,
  ItemListReply,
  ResponseItem,
  ResponseReply,
} from "./reply-schema.ts";
import {
  CompactRequest,
  ConversationItemsRequest,
  ConversationRequest,
  ConversationUpdate,
  InputTokensRequest,
  ResponseRequest,
} from "./schema.ts";

export const RESPONSE_COMPONENTS: Record<string, TSchema> = {
  ResponseRequest,
  ResponseReply,
  ResponseEvent: ResponseEventSchema,
  ResponseItem,
  InputTokensRequest,
  InputTokensReply,
  CompactRequest,
  CompactReply,
  ItemListReply,
  DeletedReply,
  ConversationRequest,
  ConversationUpdate,
  ConversationItemsRequest,
  ConversationReply,
};
