// Server-sent events: frames, keep-alive comments, the error frame, and the end of a stream.
// It pulls from the generations only when the socket wants more, so a reader that stops reading leaves a
// bounded buffer: Bun stops pulling once about 4 MiB wait in the socket (measured with Bun 1.4.5).

import type { Clock } from "../lib/clock.ts";
import { AppError } from "../protocol/errors.ts";
import type { GenerationEvent } from "../protocol/generation.ts";
import type { Ending } from "./ending.ts";
import type { EventReader } from "./event-reader.ts";
import type { ChoiceEvent } from "./merge-events.ts";
import { OPENAI_WIRE, type StreamWire } from "./stream-wire.ts";

/** A dialect's frames, each the JSON of one `data:` line. Pure but for what it remembers of the stream. */
export interface StreamEncoder {
  /** How they are written; absent: as OpenAI's. */
  wire?: StreamWire;
  /** Before any event: sent at once, with the headers. */
  open(): object[];
  /** For each event of a choice but errors and cancellations. `total` comes with the last choice's `done`. */
  encode(choice: number, event: EncodedEvent, total: Ending | null): object[];
}

export type EncodedEvent = Exclude<GenerationEvent, { type: "error" | "cancelled" }>;

export interface StreamOptions {
  keepAliveMs: number;
  stallMs: number;
  clock: Clock;
  /** The choices' endings, in order, as one. */
  sumUp(endings: readonly Ending[]): Ending;
  /** Sees every event before it is encoded. */
  watch?: ((item: ChoiceEvent) => void) | undefined;
}

const HEADERS = {
  "Content-Type": "text/event-stream; charset=utf-8",
  "Cache-Control": "no-cache, no-transform",
  // nginx would else collect the stream before it passes it on.
  "X-Accel-Buffering": "no",
};

/** Streams the choices as they come. Elysia's own generators turn a late error into a clean end: so a plain stream. */
export function streamEvents(reader: EventReader, encoder: StreamEncoder, options: StreamOptions): Response {
  const utf8 = new TextEncoder();
  const { wire = OPENAI_WIRE } = encoder;
  const encodeItem = createItemEncoder(encoder, wire, options);
  let pending: Promise<ChoiceEvent | null> | null = null;
  let cancelStall = () => {};
  let readerLeft = false;
  const watchStall = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    if (options.stallMs === 0) return;
    cancelStall = options.clock.after(options.stallMs, () => endStalled(reader, controller, options.stallMs), true);
  };
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      const opening = encoder.open().map(wire.encodeFrame).join("");
      if (opening !== "") controller.enqueue(utf8.encode(opening));
    },
    async pull(controller) {
      cancelStall();
      const beganMs = options.clock.monotonicMs();
      let text = "";
      let ended = false;
      while (text === "" && !ended) {
        pending ??= reader.next();
        const item = await withinSilence(pending, options);
        if (item === "silence") {
          text = wire.keepAlive;
          break;
        }
        pending = null;
        ended = reader.ended;
        if (item !== null) text = encodeItem(item, ended);
        // Events that show nothing, such as thoughts that nobody asked for, are silence on the connection.
        const isSilent = text === "" && !ended && options.clock.monotonicMs() - beganMs >= options.keepAliveMs;
        if (isSilent) text = wire.keepAlive;
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

/** Item → its frames. Remembers how each choice ended, for the total after the last one. */
function createItemEncoder(encoder: StreamEncoder, wire: StreamWire, options: StreamOptions) {
  const { encodeFrame, encodeError } = wire;
  const endings: Ending[] = [];
  return ({ choice, event }: ChoiceEvent, isLast: boolean): string => {
    options.watch?.({ choice, event });
    switch (event.type) {
      case "error":
        return encodeFrame(encodeError(event.error));
      case "cancelled":
        return encodeFrame(encodeError({ code: "cancelled", message: "the generation was cancelled" }));
      case "done": {
        endings[choice] = event;
        const frames = encoder.encode(choice, event, isLast ? options.sumUp(endings) : null);
        return frames.map(encodeFrame).join("") + (isLast ? wire.end : "");
      }
      default:
        return encoder.encode(choice, event, null).map(encodeFrame).join("");
    }
  };
}

/** The event, or `silence` when none came for so long that the connection needs a sign of life. */
async function withinSilence(
  pending: Promise<ChoiceEvent | null>,
  options: StreamOptions,
): Promise<ChoiceEvent | null | "silence"> {
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
