// The events of one response that outlives its connections: how each is written, and their packed form for the database.
// That they can be read from any number on is frame-log.ts.

import { FrameLog, followFrames } from "../frame-log.ts";
import type { FrameSource } from "../frame-stream.ts";
import { OPENAI_WIRE } from "../stream-wire.ts";
import type { ResponseEvent } from "./reply-schema.ts";

/** A context of 128k tokens, an event each, comes to about 30 MB. */
const LOG_CHARS_MAX = 64 * 1024 * 1024;

export class EventLog {
  readonly frames: FrameLog;

  constructor(charsMax = LOG_CHARS_MAX) {
    this.frames = new FrameLog(charsMax, (next) => encodeFrame(describeFull(next)));
  }

  append(events: readonly ResponseEvent[]): void {
    this.frames.append(events.map(encodeFrame));
  }

  end(): void {
    this.frames.end();
  }

  /** Null: it is not complete. */
  pack(): Uint8Array | null {
    return this.frames.isFull ? null : Bun.gzipSync(Buffer.from(this.frames.frames.join("")));
  }

  static unpack(packed: Uint8Array): EventLog {
    const log = new EventLog(Number.POSITIVE_INFINITY);
    const text = Buffer.from(Bun.gunzipSync(new Uint8Array(packed))).toString("utf8");
    const frames = text.split(FRAME_END).slice(0, -1);
    log.frames.append(frames.map((frame) => frame + FRAME_END));
    log.end();
    return log;
  }

  static of(events: readonly ResponseEvent[]): EventLog {
    const log = new EventLog(Number.POSITIVE_INFINITY);
    log.append(events);
    log.end();
    return log;
  }
}

/** A reader of the log; `after` is the number of the last event that it has. */
export function followLog(log: EventLog, after: number): FrameSource {
  return followFrames(log.frames, after + 1, OPENAI_WIRE.keepAlive);
}

const FRAME_END = "\n\n";

/** JSON has no line ends of its own, so a frame is two lines. */
export function encodeFrame(event: ResponseEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}${FRAME_END}`;
}

function describeFull(sequence: number): ResponseEvent & Record<string, unknown> {
  const message = "the events of this response are too many to be kept: GET it without `stream`";
  return { type: "error", sequence_number: sequence, code: "internal", message, param: null };
}
