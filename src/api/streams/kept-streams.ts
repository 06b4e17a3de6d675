// The streams that are kept for clients that come back, by id, and how many there may be.

import type { Clock } from "../../lib/clock.ts";
import { AppError, toAppError } from "../../protocol/errors.ts";
import { type FrameSource, streamFrames } from "../frame-stream.ts";
import { type ApiContext, streamOptions } from "../options.ts";
import { createId } from "../request-id.ts";
import type { RequestScope } from "../request-scope.ts";
import type { StreamWire } from "../stream-wire.ts";
import { KeptStream } from "./kept-stream.ts";
import { RESUME_HEADER, STREAM_HEADER } from "./resume.ts";

/** As many as there are places by default, and as many that have ended. */
const STREAMS_MAX = 128;
/** Of all that have ended: the oldest go first. A chunk is some 260 characters, so that is half a million tokens. */
const CHARS_MAX = 128 * 1024 * 1024;

export class KeptStreams {
  readonly #clock: Clock;
  /** In the order in which they began. */
  readonly #streams = new Map<string, KeptStream>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Throws `overloaded` when too many run. */
  assertRoom(): void {
    this.#dropEnded();
    if (this.#streams.size < STREAMS_MAX) return;
    const message = `${STREAMS_MAX} resumable streams are running already`;
    throw new AppError({ code: "overloaded", message, hint: "Send the request without X-MLO-Resume, or try again." });
  }

  keep(source: FrameSource, wire: StreamWire, keepSeconds: number): KeptStream {
    const id = createId("strm-");
    const onForget = () => this.#forget(id);
    const stream = new KeptStream({ id, source, wire, keepMs: keepSeconds * 1000, clock: this.#clock, onForget });
    this.#streams.set(id, stream);
    return stream;
  }

  /** Throws `not_found`. */
  find(id: string): KeptStream {
    const stream = this.#streams.get(id);
    if (stream !== undefined) return stream;
    const message = "there is no such stream, or nobody read it for its time and it is forgotten";
    throw new AppError({ code: "not_found", message, param: "stream_id" });
  }

  /** Ends and forgets it. Throws `not_found`. */
  delete(id: string): void {
    this.find(id).cancel(new AppError({ code: "cancelled", message: "the stream was deleted" }));
    this.#forget(id);
  }

  #dropEnded(): void {
    const ended = [...this.#streams.values()].filter(({ isGoing }) => !isGoing);
    let chars = ended.reduce((sum, stream) => sum + stream.chars, 0);
    for (const stream of ended) {
      if (this.#streams.size < STREAMS_MAX && chars <= CHARS_MAX) return;
      chars -= stream.chars;
      this.#forget(stream.id);
    }
  }

  #forget(id: string): void {
    this.#streams.get(id)?.dispose();
    this.#streams.delete(id);
  }
}

/** The first reader's response. The request's generation no longer ends with its client. */
export function streamKept(
  api: ApiContext,
  source: FrameSource,
  wire: StreamWire,
  keepSeconds: number,
  scope: RequestScope,
): Response {
  try {
    assertNumberable(source);
    // Again: others that began at the same time may have come first.
    api.streams.assertRoom();
  } catch (thrown) {
    source.abandon(toAppError(thrown));
    throw thrown;
  }
  scope.detach();
  const stream = api.streams.keep(source, wire, keepSeconds);
  const response = streamFrames(stream.follow(-1), streamOptions(api));
  response.headers.set(STREAM_HEADER, stream.id);
  return response;
}

function assertNumberable({ contentType }: FrameSource): void {
  if (contentType === undefined) return;
  const message = `${RESUME_HEADER} is for server-sent events: the lines of this stream have no ids`;
  throw new AppError({ code: "not_supported", message, param: RESUME_HEADER });
}
