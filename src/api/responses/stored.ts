// Routes of responses that are there already: shown, followed, cancelled, deleted, and their input listed.

import type { Elysia } from "elysia";
import { AppError } from "../../protocol/errors.ts";
import { streamFrames } from "../frame-stream.ts";
import { encodePage, PAGE_QUERY_DOCS, readInteger, readPageRequest, readSwitch } from "../list-pages.ts";
import { type ApiContext, streamOptions } from "../options.ts";
import { describeRoute } from "../route-docs.ts";
import { noResponse, type ResponseArchive } from "./archive.ts";
import type { BackgroundRuns } from "./background.ts";
import { nameLastEvent } from "./builder.ts";
import { EventLog, followLog } from "./event-log.ts";
import { replayResponse } from "./replay.ts";
import type { DeletedReply, ResponseReply } from "./reply-schema.ts";

const PATH = "/v1/responses/:response_id";

export function addStoredRoutes(
  app: Elysia,
  api: ApiContext,
  archive: ResponseArchive,
  background: BackgroundRuns,
): void {
  app.get(
    PATH,
    ({ params, request }) => {
      const query = new URL(request.url).searchParams;
      const after = readInteger(query, "starting_after", 0, Number.MAX_SAFE_INTEGER);
      const run = background.find(params.response_id);
      if (!readSwitch(query, "stream")) {
        if (after !== null) throw new AppError({ code: "invalid_request", ...NEEDS_STREAM });
        return Response.json(run?.reply ?? archive.read(params.response_id).reply);
      }
      const log = run?.log ?? recallLog(archive, params.response_id);
      refuseLater(after, log.frames.frames.length);
      return streamFrames(followLog(log, after ?? -1), streamOptions(api));
    },
    { detail: GET_DOCS },
  );
  app.delete(
    PATH,
    async ({ params: { response_id: id } }) => {
      await background.find(id)?.cancel();
      background.forget(id);
      archive.delete(id);
      const reply: DeletedReply = { id, object: "response.deleted", deleted: true };
      return Response.json(reply);
    },
    { detail: DELETE_DOCS },
  );
  app.post(
    `${PATH}/cancel`,
    async ({ params: { response_id: id } }) => {
      const run = background.find(id);
      await run?.cancel();
      const reply: ResponseReply = run?.reply ?? archive.read(id).reply;
      if (reply.background) return Response.json(reply);
      const message =
        "only a response in the background can be cancelled; one in the foreground ends with its connection";
      throw new AppError({ code: "invalid_request", message, param: "response_id" });
    },
    { detail: CANCEL_DOCS },
  );
  app.get(
    `${PATH}/input_items`,
    ({ params: { response_id: id }, request }) => {
      const page = readPageRequest(new URL(request.url).searchParams);
      const found = api.state.responses.readInputPage(id, page);
      if (found === null) throw noResponse(id);
      return Response.json(encodePage(found.page));
    },
    { detail: INPUT_DOCS },
  );
}

/** A client can't have an event that has not been. */
function refuseLater(after: number | null, count: number): void {
  if (after === null || after < count) return;
  const message = `event ${after} is not one of this response: it has had ${count} so far`;
  throw new AppError({ code: "invalid_request", message, param: "starting_after" });
}

const NEEDS_STREAM = { message: "the query's `starting_after` needs `stream=true`", param: "starting_after" };

function recallLog(archive: ResponseArchive, id: string): EventLog {
  const { reply, events } = archive.read(id);
  if (events !== null) return EventLog.unpack(events);
  if (reply.status === "queued" || reply.status === "in_progress") {
    const message = "another server computes this response: its events can't be followed from here";
    throw new AppError({ code: "not_supported", message, param: "stream", hint: "GET it without `stream`." });
  }
  return EventLog.of(replayResponse(reply, nameLastEvent(reply.status)));
}

const ID = { name: "response_id", description: "The response's id.", example: "resp_0123456789abcdef0123456789abcdef" };

const GET_DOCS = describeRoute({
  operationId: "getResponse",
  tag: "OpenAI",
  summary: "Show or follow a response",
  description:
    "One in the background as it is now. With `stream=true` its events from the beginning, or those behind the number " +
    "`starting_after`, and on while it is computed. A response that was not in the background has them in few, large pieces.",
  pathParameters: [ID],
  query: [
    { name: "stream", description: "As server-sent events.", schema: { type: "boolean" } },
    {
      name: "starting_after",
      description: "The number of the last event that the client has.",
      schema: { type: "integer" },
    },
  ],
  reply: { schema: "ResponseReply", description: "The response.", streamSchema: "ResponseEvent" },
  errors: ["invalid_request", "not_supported", "not_found", "storage_unavailable"],
});

const DELETE_DOCS = describeRoute({
  operationId: "deleteResponse",
  tag: "OpenAI",
  summary: "Delete a response",
  description: "With its input and output. What continues it can't be continued any more. One that runs is cancelled.",
  pathParameters: [ID],
  reply: { schema: "DeletedReply", description: "It is deleted." },
  errors: ["not_found", "storage_unavailable"],
});

const CANCEL_DOCS = describeRoute({
  operationId: "cancelResponse",
  tag: "OpenAI",
  summary: "Cancel a response in the background",
  description: "One that has ended is given as it is.",
  pathParameters: [ID],
  reply: { schema: "ResponseReply", description: "The response, with what there is of its output." },
  errors: ["invalid_request", "not_found", "storage_unavailable"],
});

const INPUT_DOCS = describeRoute({
  operationId: "listResponseInput",
  tag: "OpenAI",
  summary: "List a response's input",
  description: "The items of its own request, without those of what it continues.",
  pathParameters: [ID],
  query: PAGE_QUERY_DOCS,
  reply: { schema: "ItemListReply", description: "A page of items." },
  errors: ["invalid_request", "not_found", "storage_unavailable"],
});
