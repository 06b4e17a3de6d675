// Streams of responses in tests: events with their names and numbers checked, and the ways to ask for them.

import { expect } from "bun:test";
import type { Json, TestApp } from "./http-app.ts";

/** All events of a whole stream. Each frame's name is its event's type, and the numbers go up by one. */
export async function readEvents(response: Response): Promise<Json[]> {
  return parseEvents(await response.text());
}

export function parseEvents(text: string): Json[] {
  const frames = text.split("\n\n").filter((frame) => frame !== "" && !frame.startsWith(":"));
  const events = frames.map((frame) => {
    const match = /^event: (\S+)\ndata: (.*)$/.exec(frame);
    if (match === null) throw new Error(`not a frame of a response: ${frame}`);
    const event: Json = JSON.parse(match[2] ?? "");
    expect(event.type).toBe(match[1]);
    return event;
  });
  const [first] = events;
  for (const [at, event] of events.entries()) expect(event.sequence_number).toBe(first.sequence_number + at);
  return events;
}

export const typesOf = (events: readonly Json[]): string[] => events.map(({ type }) => type.replace(/^response\./, ""));

export function remove(app: TestApp, path: string): Promise<Response> {
  return app.app.handle(new Request(`http://localhost:9000${path}`, { method: "DELETE" }));
}
