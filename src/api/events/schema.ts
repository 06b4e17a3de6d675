// The shape of the server's events: the only source of their documentation.

import { Type } from "@sinclair/typebox";
import { EVENT_TOPICS } from "../../protocol/events.ts";

export const ServerEventReply = Type.Union([
  Type.Object({
    topic: Type.Union(EVENT_TOPICS.map((topic) => Type.Literal(topic))),
    seq: Type.Integer({ description: "Counts all events of this run of the server." }),
    time: Type.Integer({ description: "Milliseconds since the epoch." }),
    data: Type.Object({}, { additionalProperties: true, description: "What happened; its fields are the topic's." }),
  }),
  Type.Object({
    type: Type.Literal("lost"),
    lost: Type.Integer({ description: "Events that were dropped because they were not read." }),
  }),
]);
