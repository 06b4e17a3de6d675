// A stream that goes on without its client: its frames are read as they come, numbered and kept, and given to whoever
// asks for those after the last one it has. Without a reader for its time it ends and is forgotten.

import { Alarm } from "../../lib/alarm.ts";
import type { Clock } from "../../lib/clock.ts";
import { AppError } from "../../protocol/errors.ts";
import { FrameLog, followFrames } from "../frame-log.ts";
import type { FrameSource } from "../frame-stream.ts";
import type { StreamWire } from "../stream-wire.ts";

/** Some 60,000 tokens as chunks. A reader that falls further behind is told so, and the generation ends. */
const STREAM_CHARS_MAX = 16 * 1024 * 1024;

export interface KeptStreamOptions {
  id: string;
  source: FrameSource;
  wire: StreamWire;
  /** How long nobody may read it, in milliseconds. */
  keepMs: number;
  clock: Clock;
  /** It is over, and nobody reads it. */
  onForget: () => void;
  charsMax?: number;
}

export class KeptStream {
  readonly id: string;
  readonly #source: FrameSource;
  readonly #wire: StreamWire;
  readonly #log: FrameLog;
  readonly #unread: Alarm;
  #readers = 0;
  #count = 0;

  constructor({ id, source, wire, keepMs, clock, onForget, charsMax = STREAM_CHARS_MAX }: KeptStreamOptions) {
    this.id = id;
    this.#source = source;
    this.#wire = wire;
    this.#log = new FrameLog(charsMax, () => wire.encodeFrame(wire.encodeError(TOO_LONG)));
    this.#unread = new Alarm(clock, keepMs, () => {
      this.cancel(new AppError({ code: "timeout", message: `nobody read the stream for ${keepMs / 1000} s` }));
      onForget();
    });
    this.#unread.set();
    void this.#collect();
  }

  /** True while frames still come. */
  get isGoing(): boolean {
    return !this.#log.ended;
  }

  get chars(): number {
    return this.#log.chars;
  }

  /** A reader of the frames behind this number; -1 for all. Throws `invalid_request` for one that has not been sent. */
  follow(after: number): FrameSource {
    if (after >= this.#log.frames.length) {
      const message = `event ${after} is not one of this stream: it has had ${this.#log.frames.length} so far`;
      throw new AppError({ code: "invalid_request", message, param: "Last-Event-ID" });
    }
    this.#readers++;
    this.#unread.clear();
    return followFrames(this.#log, after + 1, this.#wire.keepAlive, () => {
      if (--this.#readers === 0) this.#unread.set();
    });
  }

  /** Its generation ends, and with it the stream of everybody who reads it. Harmless when it has ended. */
  cancel(reason: AppError): void {
    if (this.isGoing) this.#source.abandon(reason);
    this.#log.end();
  }

  dispose(): void {
    this.#unread.dispose();
  }

  async #collect(): Promise<void> {
    this.#append(this.#source.open());
    while (this.isGoing) {
      const { text, ended } = await this.#source.next();
      // Cancelled meanwhile: what was read last belongs to nobody.
      if (!this.isGoing) return;
      this.#append(text);
      if (this.#log.isFull) this.cancel(new AppError(TOO_LONG));
      else if (ended) this.#log.end();
    }
  }

  /** JSON has no line ends of its own, so an empty line ends a frame. */
  #append(text: string): void {
    const frames = text.split(FRAME_END).slice(0, -1);
    this.#log.append(frames.map((frame) => `id: ${this.#count++}\n${frame}${FRAME_END}`));
  }
}

const FRAME_END = "\n\n";

const TOO_LONG = {
  code: "not_supported",
  message: "the stream is too long to be kept, and was ended",
  hint: "Send the request without X-MLO-Resume.",
} as const;
