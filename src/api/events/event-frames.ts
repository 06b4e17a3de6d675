// Events of the server as server-sent events: one frame each, and a frame that says how many a slow reader has lost.

import type { EventReader } from "../../lib/event-bus.ts";
import type { EventTopic } from "../../protocol/events.ts";
import type { FramePiece, FrameSource } from "../frame-stream.ts";
import { OPENAI_WIRE } from "../stream-wire.ts";

export function frameServerEvents(reader: EventReader<EventTopic>): FrameSource {
  return {
    keepAlive: OPENAI_WIRE.keepAlive,
    // A client knows by it that it is heard from here on.
    open: () => ": listening\n\n",
    async next(): Promise<FramePiece> {
      const batch = await reader.next();
      if (batch === null) return { text: "", ended: true };
      const lost = batch.lost === 0 ? "" : encodeFrame("lost", { type: "lost", lost: batch.lost });
      const frames = batch.events.map((event) => encodeFrame(event.topic, event, event.seq));
      return { text: lost + frames.join(""), ended: false };
    },
    abandon: () => reader.close(),
  };
}

function encodeFrame(name: string, data: object, id?: number): string {
  const idLine = id === undefined ? "" : `id: ${id}\n`;
  return `event: ${name}\n${idLine}data: ${JSON.stringify(data)}\n\n`;
}
