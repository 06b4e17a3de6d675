// GET and DELETE /api/streams/:id: a stream that was cut off goes on, or is given up.

import type { Elysia } from "elysia";
import { streamFrames } from "../frame-stream.ts";
import { type ApiContext, streamOptions } from "../options.ts";
import { describeRoute } from "../route-docs.ts";
import { LAST_EVENT_PATTERN, RESUME_HEADER, readLastEvent, STREAM_HEADER } from "./resume.ts";
import type { StreamDeletedReply } from "./schema.ts";

const PATH = "/api/streams/:stream_id";

export function addStreamRoutes(app: Elysia, api: ApiContext): void {
  app.get(
    PATH,
    ({ params, request }) => {
      const source = api.streams.find(params.stream_id).follow(readLastEvent(request.headers));
      return streamFrames(source, streamOptions(api));
    },
    { detail: GET_DOCS },
  );
  app.delete(
    PATH,
    ({ params: { stream_id: id } }) => {
      api.streams.delete(id);
      const reply: StreamDeletedReply = { id, deleted: true };
      return Response.json(reply);
    },
    { detail: DELETE_DOCS },
  );
}

const ID = {
  name: "stream_id",
  description: `What \`${STREAM_HEADER}\` said.`,
  example: "strm-0123456789abcdef0123456789abcdef",
};

const GET_DOCS = describeRoute({
  operationId: "getStream",
  tag: "System",
  summary: "Go on with a stream",
  description:
    `Of a request that had \`${RESUME_HEADER}\`: its events behind the one that \`Last-Event-ID\` names, those that were sent ` +
    "already at once, and then as they come. They are the same bytes as in the first answer, in the dialect of the request. " +
    "Several clients may read at once.",
  pathParameters: [ID],
  headers: [
    {
      name: "Last-Event-ID",
      description: "The `id` of the last whole event that the client has. Absent or empty: from the beginning.",
      schema: { type: "string", pattern: LAST_EVENT_PATTERN },
    },
  ],
  reply: {
    description: "The rest of the stream.",
    mediaType: null,
    streamSchema: ["ChatChunk", "CompletionReply", "InfillReply", "MessageEvent", "ErrorReply"],
    streamEnd: "[DONE]",
  },
  errors: ["invalid_request", "not_found"],
});

const DELETE_DOCS = describeRoute({
  operationId: "deleteStream",
  tag: "System",
  summary: "Give a stream up",
  description: "Its generation ends, if it has not, and its events are forgotten. Who reads it gets what there was.",
  pathParameters: [ID],
  reply: { schema: "StreamDeletedReply", description: "It is gone." },
  errors: ["not_found"],
});
