// The events of one response that outlives its connections, numbered from 0: written once, read by as many clients as
// like, from any number on, while it grows and after. Also its packed form for the database.

import type { FramePiece, FrameSource } from "../frame-stream.ts";
import { OPENAI_WIRE } from "../stream-wire.ts";
import type { ResponseEvent } from "./reply-schema.ts";

/** A context of 128k tokens, an event each, comes to about 30 MB. */
const LOG_BYTES_MAX = 64 * 1024 * 1024;

/** Frames given to a reader at a time: some 16 KiB, so that one that starts late does not get all in one piece. */
const FRAMES_PER_READ = 64;

export class EventLog {
  #frames: string[] = [];
  #bytes = 0;
  #isFull = false;
  #ended = false;
  #wake: (() => void)[] = [];
  readonly #bytesMax: number;

  constructor(bytesMax = LOG_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  append(events: readonly ResponseEvent[]): void {
    for (const event of events) {
      const frame = encodeFrame(event);
      this.#bytes += frame.length;
      this.#isFull ||= this.#bytes > this.#bytesMax;
      if (!this.#isFull) this.#frames.push(frame);
    }
    this.#wakeReaders();
  }

  end(): void {
    this.#ended = true;
    this.#wakeReaders();
  }

  /** From this number on; waits until there is something. Ends also where a log was too long to be kept. */
  async read(from: number): Promise<FramePiece & { next: number }> {
    for (;;) {
      if (from < this.#frames.length) {
        const frames = this.#frames.slice(from, from + FRAMES_PER_READ);
        const next = from + frames.length;
        return { text: frames.join(""), next, ended: this.#ended && !this.#isFull && next === this.#frames.length };
      }
      if (this.#isFull) return { text: encodeFrame(describeFull(from)), next: from, ended: true };
      if (this.#ended) return { text: "", next: from, ended: true };
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
    }
  }

  /** Null: it is not complete. */
  pack(): Uint8Array | null {
    return this.#isFull ? null : Bun.gzipSync(Buffer.from(this.#frames.join("")));
  }

  static unpack(packed: Uint8Array): EventLog {
    const log = new EventLog();
    const text = Buffer.from(Bun.gunzipSync(new Uint8Array(packed))).toString("utf8");
    log.#frames = text
      .split(FRAME_END)
      .slice(0, -1)
      .map((frame) => frame + FRAME_END);
    log.#ended = true;
    return log;
  }

  static of(events: readonly ResponseEvent[]): EventLog {
    const log = new EventLog(Number.POSITIVE_INFINITY);
    log.append(events);
    log.end();
    return log;
  }

  #wakeReaders(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}

/** A reader of the log; `after` is the number of the last event that it has. */
export function followLog(log: EventLog, after: number): FrameSource {
  let from = after + 1;
  return {
    keepAlive: OPENAI_WIRE.keepAlive,
    open: () => "",
    async next() {
      const { text, next, ended } = await log.read(from);
      from = next;
      return { text, ended };
    },
    abandon() {
      // The response goes on without this reader.
    },
  };
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
