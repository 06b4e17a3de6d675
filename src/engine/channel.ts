// The child's end of the socket to the server, as messages.

import type { NativeLibrary } from "../ffi/library.ts";
import { NativeSocket } from "../ffi/socket.ts";
import { encodeFrame, FrameDecoder, type FromEngine, type ToEngine } from "../protocol/messages.ts";
import { type Expanded, PromptReceiver } from "../protocol/prompt-reuse.ts";

/** The socket's number: standard input, output and error come first. */
const SOCKET_DESCRIPTOR = 3;

export class Channel {
  readonly #socket: NativeSocket;
  readonly #decoder = new FrameDecoder<ToEngine>();
  readonly #prompts = new PromptReceiver();
  #closed = false;

  constructor(library: NativeLibrary) {
    this.#socket = new NativeSocket(library, SOCKET_DESCRIPTOR);
  }

  /** True once the server is gone. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Waits for a message, or for a job to end. timeoutMs < 0 = without limit. */
  wait(timeoutMs: number): void {
    this.#socket.wait(timeoutMs);
  }

  waitForJob(timeoutMs: number): void {
    this.#socket.waitForJob(timeoutMs);
  }

  /** Everything that has arrived. */
  receive(): Expanded[] {
    const messages: Expanded[] = [];
    for (;;) {
      const bytes = this.#socket.read();
      if (bytes === null) return messages;
      if (bytes === "closed") {
        this.#closed = true;
        return messages;
      }
      for (const frame of this.#decoder.push(bytes)) messages.push(this.#prompts.expand(frame.message));
    }
  }

  /** The first message; null when the server closes the socket instead. */
  receiveFirst(): Expanded | null {
    for (;;) {
      this.wait(-1);
      const [message] = this.receive();
      if (message !== undefined) return message;
      if (this.#closed) return null;
    }
  }

  send(message: FromEngine, payload?: Uint8Array): void {
    this.#socket.write(encodeFrame(message, payload));
  }
}
