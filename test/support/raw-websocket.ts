// A WebSocket client made of bytes, which can do what no library lets one do: frames that are wrong, and not reading.

import { connect, type Socket } from "node:net";

/** Headers of a handshake. */
export const HANDSHAKE: Readonly<Record<string, string>> = {
  Upgrade: "websocket",
  Connection: "Upgrade",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version": "13",
};

export const OPCODES = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface RawFrame {
  opcode: number;
  payload: Buffer;
}

/** One frame; clients mask theirs, here with zeros. `claims`: a length that is told in place of the true one. */
export function encodeFrame(
  opcode: number,
  payload: string | Buffer = "",
  { final = true, masked = true, claims }: { final?: boolean; masked?: boolean; claims?: bigint } = {},
): Buffer {
  const bytes = Buffer.from(payload);
  const first = (final ? 0x80 : 0) | opcode;
  const bit = masked ? 0x80 : 0;
  const length = claims ?? BigInt(bytes.length);
  const head =
    claims !== undefined || length > 0xffffn
      ? Buffer.concat([Buffer.from([first, bit | 127]), bigBytes(length)])
      : length > 125n
        ? Buffer.from([first, bit | 126, Number(length >> 8n), Number(length & 255n)])
        : Buffer.from([first, bit | Number(length)]);
  return Buffer.concat([head, masked ? Buffer.alloc(4) : Buffer.alloc(0), bytes]);
}

function bigBytes(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

export class RawWebSocket {
  readonly socket: Socket;
  /** What the server answered the handshake with. */
  readonly head: Promise<string>;
  /** Resolves when the connection is gone. */
  readonly ended: Promise<void>;
  readonly frames: RawFrame[] = [];
  #bytes = Buffer.alloc(0);
  #gotHead: ((head: string) => void) | null;
  #wake: () => void = () => {};
  #isOver = false;

  constructor(url: string, path: string, headers: Record<string, string> = { ...HANDSHAKE }) {
    const { port, hostname } = new URL(url);
    const { promise, resolve } = Promise.withResolvers<string>();
    this.head = promise;
    this.#gotHead = resolve;
    const lines = Object.entries({ Host: "localhost", ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    this.socket = connect(Number(port), hostname);
    this.socket.write(`GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`);
    this.socket.on("data", (chunk) => this.#take(Buffer.from(chunk)));
    // Whoever is cut off may see a reset in place of an end.
    this.socket.on("error", () => this.socket.destroy());
    this.ended = new Promise((done) => this.socket.on("close", () => done()));
    void this.ended.then(() => {
      this.#isOver = true;
      this.#gotHead?.(this.#bytes.toString());
      this.#wake();
    });
  }

  /** The next frame that has come or comes; null: the connection is gone. */
  async next(): Promise<RawFrame | null> {
    while (this.frames.length === 0 && !this.#isOver) {
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      await woken.promise;
    }
    return this.frames.shift() ?? null;
  }

  /** The next message. */
  async json(): Promise<ReturnType<typeof JSON.parse>> {
    const frame = await this.next();
    if (frame === null) throw new Error("the connection is gone");
    return JSON.parse(frame.payload.toString());
  }

  say(message: object | string): void {
    this.socket.write(encodeFrame(OPCODES.text, typeof message === "string" ? message : JSON.stringify(message)));
  }

  #take(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    if (this.#gotHead !== null) {
      const end = this.#bytes.indexOf("\r\n\r\n");
      if (end < 0) return;
      this.#gotHead(this.#bytes.subarray(0, end).toString());
      this.#gotHead = null;
      this.#bytes = this.#bytes.subarray(end + 4);
    }
    for (let frame = this.#cut(); frame !== null; frame = this.#cut()) this.frames.push(frame);
    this.#wake();
  }

  /** A whole frame of the server, which masks nothing. */
  #cut(): RawFrame | null {
    const bytes = this.#bytes;
    if (bytes.length < 2) return null;
    const short = (bytes[1] ?? 0) & 127;
    const headBytes = short === 127 ? 10 : short === 126 ? 4 : 2;
    if (bytes.length < headBytes) return null;
    const length = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short;
    if (bytes.length < headBytes + length) return null;
    this.#bytes = bytes.subarray(headBytes + length);
    return { opcode: (bytes[0] ?? 0) & 15, payload: bytes.subarray(headBytes, headBytes + length) };
  }
}
