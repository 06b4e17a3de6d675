// How a dialect writes the frames of a stream, and what it says besides: a sign of life, an error, the end. Pure.
// What the frames hold is the business of its StreamEncoder (sse.ts).

import type { ErrorBody } from "../protocol/errors.ts";
import { encodeErrorEnvelope } from "./errors.ts";

export interface StreamWire {
  /** Absent: server-sent events. */
  contentType?: string;
  /** Sent when there was silence for so long that proxies and clients may doubt that we live. */
  keepAlive: string;
  /** Follows the last frame of a stream that ended well. */
  end: string;
  encodeFrame(frame: object): string;
  /** The frame of an error; nothing follows it. */
  encodeError(error: ErrorBody): object;
}

export const OPENAI_WIRE: StreamWire = {
  keepAlive: ": keep-alive\n\n",
  end: "data: [DONE]\n\n",
  encodeFrame: (frame) => `data: ${JSON.stringify(frame)}\n\n`,
  encodeError: encodeErrorEnvelope,
};
