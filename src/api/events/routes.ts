// GET /api/events and /api/ws: what happens on the server, as it happens. Events come from the bus; here they are chosen and sent.

import type { Elysia } from "elysia";
import { READERS_MAX } from "../../lib/event-bus.ts";
import { AppError } from "../../protocol/errors.ts";
import { EVENT_TOPICS } from "../../protocol/events.ts";
import { streamFrames } from "../frame-stream.ts";
import { type ApiContext, streamOptions } from "../options.ts";
import { describeRoute } from "../route-docs.ts";
import { answerWithSocket, isHandshake } from "../socket-upgrade.ts";
import { frameServerEvents } from "./event-frames.ts";
import { EventSocket } from "./event-socket.ts";
import { readTopics } from "./topics.ts";

export function addEventRoutes(app: Elysia, api: ApiContext): void {
  app.get(
    "/api/events",
    ({ request }) => {
      const topics = readTopics(new URL(request.url).searchParams.getAll("topics"));
      const reader = api.events.subscribe(topics);
      if (reader === null) throw tooMany();
      return streamFrames(frameServerEvents(reader), streamOptions(api));
    },
    { detail: DOCS },
  );
  app.get(
    "/api/ws",
    ({ request }) => {
      const topics = readTopics(new URL(request.url).searchParams.getAll("topics"));
      if (!isHandshake(request)) {
        const message = "this is no handshake of a WebSocket";
        const hint = "Open it as a WebSocket, or GET /api/events for the same as server-sent events.";
        throw new AppError({ code: "invalid_request", message, hint });
      }
      if (api.events.isFull()) throw tooMany();
      const { events, clock, options } = api;
      return answerWithSocket(new EventSocket({ events, topics, clock, stallMs: options.streamStallMs }));
    },
    { detail: SOCKET_DOCS },
  );
}

function tooMany(): AppError {
  const message = `${READERS_MAX} readers listen to events already`;
  return new AppError({ code: "overloaded", message, hint: "Close one of the streams." });
}

const TOPICS_PARAMETER = {
  name: "topics",
  description: "Topics, with commas between them; absent: all.",
  schema: { type: "string", default: EVENT_TOPICS.join(",") },
};

const SOCKET_DOCS = describeRoute({
  operationId: "openEventSocket",
  tag: "System",
  summary: "Watch what happens on the server, over a WebSocket",
  description:
    'The events of `GET /api/events`, each a text message `{topic, seq, time, data}`, after `{type: "subscribed", topics}`. ' +
    'Messages of the client: `{type: "subscribe", topics: […]}` chooses other topics (none or empty: all), answered by ' +
    '`subscribed`; `{type: "ping"}` is answered by `{type: "pong"}`. What can\'t be read is answered by ' +
    '`{type: "error", error}`. A reader that is behind gets `{type: "lost", lost}` for what was dropped. Messages ' +
    "have at most 4 KiB, 60 in ten seconds; bytes in place of text end the connection. Silence is broken by pings of the protocol.",
  query: [TOPICS_PARAMETER],
  reply: { status: 101, mediaType: null, description: "The connection is a WebSocket from here on." },
  errors: ["invalid_request", "overloaded"],
});

const DOCS = describeRoute({
  operationId: "streamEvents",
  tag: "System",
  summary: "Watch what happens on the server",
  description:
    "Server-sent events from now on: each is named after its topic and holds `{topic, seq, time, data}`. `convert` has the " +
    "conversion as `GET /api/models/convert` lists it, at each change; `download` the steps of downloads; `models` has " +
    "`{type, id}` with `listed` or `gone`; `hardware` the machine as `GET /api/hardware` has it, every two seconds. A reader that is behind gets a `lost` event with the number of events that were " +
    "dropped; of progress that nobody has read yet only the newest is kept. The stream ends when the client closes it.",
  query: [TOPICS_PARAMETER],
  reply: { streamSchema: "ServerEventReply", description: "The events." },
  errors: ["invalid_request", "overloaded"],
});
