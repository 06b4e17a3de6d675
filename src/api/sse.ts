// Server-sent events: frames, keep-alive comments, the error frame, and the end of a stream.
// It pulls from the generation only when the socket wants more, so a reader that stops reading leaves a
// bounded buffer: Bun stops pulling once about 4 MiB wait in the socket (measured with Bun 1.4.5).

import type { Clock } from "../lib/clock.ts";
import { AppError } from "../protocol/errors.ts";
import type { GenerationEvent } from "../protocol/generation.ts";
import { encodeErrorEnvelope } from "./errors.ts";
import type { EventReader } from "./event-reader.ts";

/** A dialect's frames, each the JSON of one `data:` line. Pure but for what it remembers of the stream. */
export interface StreamEncoder {
  /** Before any event: sent at once, with the headers. */
  open(): object[];
  /** For each event but errors and cancellations. `done` gives the closing frames. */
  encode(event: Exclude<GenerationEvent, { type: "error" | "cancelled" }>): object[];
}

export interface StreamOptions {
  keepAliveMs: number;
  stallMs: number;
  clock: Clock;
}

const KEEP_ALIVE = ": keep-alive\n\n";
const DONE = "data: [DONE]\n\n";

const HEADERS = {
  "Content-Type": "text/event-stream; charset=utf-8",
  "Cache-Control": "no-cache, no-transform",
  // nginx would else collect the stream before it passes it on.
  "X-Accel-Buffering": "no",
};

/** A response that streams the generation. Elysia's own generators turn a late error into a clean end, so this is a plain stream. */
export function streamEvents(reader: EventReader, encoder: StreamEncoder, options: StreamOptions): Response {
  const utf8 = new TextEncoder();
  let pending: Promise<GenerationEvent | null> | null = null;
  let cancelStall = () => {};
  let readerLeft = false;
  const watchStall = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    if (options.stallMs === 0) return;
    cancelStall = options.clock.after(options.stallMs, () => endStalled(reader, controller, options.stallMs), true);
  };
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      const opening = encoder.open().map(encodeFrame).join("");
      if (opening !== "") controller.enqueue(utf8.encode(opening));
    },
    async pull(controller) {
      cancelStall();
      let text = "";
      let ended = false;
      while (text === "" && !ended) {
        pending ??= reader.next();
        const event = await withinSilence(pending, options);
        if (event === "silence") {
          text = KEEP_ALIVE;
          break;
        }
        pending = null;
        ended = event === null || isEnd(event);
        if (event !== null) text = encodeEvent(event, encoder);
      }
      if (readerLeft) return;
      if (text !== "") controller.enqueue(utf8.encode(text));
      if (ended) controller.close();
      else watchStall(controller);
    },
    cancel() {
      readerLeft = true;
      cancelStall();
      reader.abandon(new AppError({ code: "cancelled", message: "the client closed the stream" }));
    },
  });
  return new Response(stream, { headers: HEADERS });
}

function encodeFrame(data: object): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

function encodeEvent(event: GenerationEvent, encoder: StreamEncoder): string {
  switch (event.type) {
    case "error":
      return encodeFrame(encodeErrorEnvelope(event.error));
    case "cancelled":
      return encodeFrame(encodeErrorEnvelope({ code: "cancelled", message: "the generation was cancelled" }));
    case "done":
      return encoder.encode(event).map(encodeFrame).join("") + DONE;
    default:
      return encoder.encode(event).map(encodeFrame).join("");
  }
}

function isEnd(event: GenerationEvent): boolean {
  return event.type === "done" || event.type === "error" || event.type === "cancelled";
}

/** The event, or `silence` when none came for so long that the connection needs a sign of life. */
async function withinSilence(
  pending: Promise<GenerationEvent | null>,
  options: StreamOptions,
): Promise<GenerationEvent | null | "silence"> {
  let cancelTimer = () => {};
  const silence = new Promise<"silence">((resolve) => {
    cancelTimer = options.clock.after(options.keepAliveMs, () => resolve("silence"), true);
  });
  try {
    return await Promise.race([pending, silence]);
  } finally {
    cancelTimer();
  }
}

function endStalled(
  reader: EventReader,
  controller: ReadableStreamDefaultController<Uint8Array>,
  stallMs: number,
): void {
  const error = new AppError({ code: "timeout", message: `the client read nothing for ${stallMs} ms` });
  reader.abandon(error);
  controller.error(error);
}
