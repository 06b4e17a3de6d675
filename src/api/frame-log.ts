// The frames of a stream that outlives its connections, numbered from 0: written once, read by as many clients as like,
// from any number on, while it grows and after. Knows nothing of what the frames say.

import type { FramePiece, FrameSource } from "./frame-stream.ts";

/** Frames given to a reader at a time: some 16 KiB, so that one that starts late does not get all in one piece. */
const FRAMES_PER_READ = 64;

export class FrameLog {
  readonly #frames: string[] = [];
  readonly #charsMax: number;
  readonly #describeFull: (next: number) => string;
  #chars = 0;
  #isFull = false;
  #ended = false;
  #wake: (() => void)[] = [];

  /** `describeFull`: the last frame of those who read a log that became too long, in place of the one of this number. */
  constructor(charsMax: number, describeFull: (next: number) => string) {
    this.#charsMax = charsMax;
    this.#describeFull = describeFull;
  }

  get frames(): readonly string[] {
    return this.#frames;
  }

  get chars(): number {
    return this.#chars;
  }

  /** It had to leave frames out: it ends with an error for its readers. */
  get isFull(): boolean {
    return this.#isFull;
  }

  get ended(): boolean {
    return this.#ended;
  }

  append(frames: readonly string[]): void {
    for (const frame of frames) {
      this.#isFull ||= this.#chars + frame.length > this.#charsMax;
      if (this.#isFull) break;
      this.#chars += frame.length;
      this.#frames.push(frame);
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
      if (this.#isFull) return { text: this.#describeFull(from), next: from, ended: true };
      if (this.#ended) return { text: "", next: from, ended: true };
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
    }
  }

  #wakeReaders(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const wake of waiting) wake();
  }
}

/** A reader of the log from this number on. `onLeave`: it has everything, or has gone; called once. */
export function followFrames(log: FrameLog, first: number, keepAlive: string, onLeave = () => {}): FrameSource {
  let from = first;
  let left = false;
  const leave = (): void => {
    if (left) return;
    left = true;
    onLeave();
  };
  return {
    keepAlive,
    open: () => "",
    async next() {
      const { text, next, ended } = await log.read(from);
      from = next;
      if (ended) leave();
      return { text, ended };
    },
    // What writes the log goes on without this reader.
    abandon: leave,
  };
}
