// GET /api/events: what happens on the server, as it happens. Events come from the bus; here they are chosen and sent.

import type { Elysia } from "elysia";
import { READERS_MAX } from "../../lib/event-bus.ts";
import { AppError } from "../../protocol/errors.ts";
import { EVENT_TOPICS, type EventTopic } from "../../protocol/events.ts";
import { streamFrames } from "../frame-stream.ts";
import { type ApiContext, streamOptions } from "../options.ts";
import { describeRoute } from "../route-docs.ts";
import { frameServerEvents } from "./event-frames.ts";

export function addEventRoutes(app: Elysia, api: ApiContext): void {
  app.get(
    "/api/events",
    ({ request }) => {
      const topics = readTopics(new URL(request.url).searchParams.getAll("topics"));
      const reader = api.events.subscribe(topics);
      if (reader === null) {
        const message = `${READERS_MAX} readers listen to events already`;
        throw new AppError({ code: "overloaded", message, hint: "Close one of the streams." });
      }
      return streamFrames(frameServerEvents(reader), streamOptions(api));
    },
    { detail: DOCS },
  );
}

/** Absent or empty: all. */
function readTopics(texts: readonly string[]): EventTopic[] {
  const names = texts.flatMap((text) => text.split(",")).map((name) => name.trim());
  const wanted = names.filter((name) => name !== "");
  if (wanted.length === 0) return [...EVENT_TOPICS];
  return [...new Set(wanted.map(readTopic))];
}

function readTopic(name: string): EventTopic {
  const known = EVENT_TOPICS.find((topic) => topic === name);
  if (known !== undefined) return known;
  const message = `\`topics\` has ${JSON.stringify(name.slice(0, 60))}, which is no topic`;
  const hint = `Topics are ${EVENT_TOPICS.join(", ")}.`;
  throw new AppError({ code: "invalid_request", message, hint, param: "topics" });
}

const DOCS = describeRoute({
  operationId: "streamEvents",
  tag: "System",
  summary: "Watch what happens on the server",
  description:
    "Server-sent events from now on: each is named after its topic and holds `{topic, seq, time, data}`. `convert` has the " +
    "conversion as `GET /api/models/convert` lists it, at each change; `download` the steps of downloads; `models` has " +
    "`{type, id}` with `listed` or `gone`; `hardware` the machine as `GET /api/hardware` has it, every two seconds. A reader that is behind gets a `lost` event with the number of events that were " +
    "dropped; of progress that nobody has read yet only the newest is kept. The stream ends when the client closes it.",
  query: [
    {
      name: "topics",
      description: "Topics, with commas between them; absent: all.",
      schema: { type: "string", default: EVENT_TOPICS.join(",") },
    },
  ],
  reply: { streamSchema: "ServerEventReply", description: "The events." },
  errors: ["invalid_request", "overloaded"],
});
