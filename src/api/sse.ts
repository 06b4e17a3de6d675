// Generations as server-sent events: the encoder's frames, the error frame, and the end of a stream. How the frames get
// to the client is frame-stream.ts.

import type { GenerationEvent } from "../protocol/generation.ts";
import type { Ending } from "./ending.ts";
import type { EventReader } from "./event-reader.ts";
import type { FrameSource } from "./frame-stream.ts";
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

export interface EncodingOptions {
  /** The choices' endings, in order, as one. */
  sumUp(endings: readonly Ending[]): Ending;
  /** Sees every event before it is encoded. */
  watch?: ((item: ChoiceEvent) => void) | undefined;
}

/** The choices' frames as they come. */
export function frameEvents(reader: EventReader, encoder: StreamEncoder, options: EncodingOptions): FrameSource {
  const wire = wireOf(encoder);
  const encodeItem = createItemEncoder(encoder, wire, options);
  return {
    ...(wire.contentType === undefined ? {} : { contentType: wire.contentType }),
    keepAlive: wire.keepAlive,
    open: () => encoder.open().map(wire.encodeFrame).join(""),
    async next() {
      const item = await reader.next();
      const { ended } = reader;
      return { text: item === null ? "" : encodeItem(item, ended), ended };
    },
    abandon: (reason) => reader.abandon(reason),
  };
}

export function wireOf(encoder: StreamEncoder): StreamWire {
  return encoder.wire ?? OPENAI_WIRE;
}

/** Item → its frames. Remembers how each choice ended, for the total after the last one. */
function createItemEncoder(encoder: StreamEncoder, wire: StreamWire, options: EncodingOptions) {
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
