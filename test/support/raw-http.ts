// HTTP over a bare socket, for what no client library would send, and for readers that stop reading.

import { connect, type Socket } from "node:net";

/** A peer that neither answers nor closes must not hang the suite. */
const ANSWER_TIMEOUT_MS = 30_000;

export interface RawConnection {
  socket: Socket;
  /** Everything that came so far. */
  received(): string;
  write(data: string | Uint8Array): void;
  /** Resolves when the peer has closed, or when `enough` says so. */
  read(enough?: (text: string) => boolean): Promise<string>;
  destroy(): void;
}

export async function openRaw(url: string): Promise<RawConnection> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const chunks: Buffer[] = [];
  let ended = false;
  let wake = (): void => {};
  const end = (): void => {
    ended = true;
    wake();
  };
  socket.on("data", (chunk) => {
    chunks.push(Buffer.from(chunk));
    wake();
  });
  socket.on("end", end);
  socket.on("close", end);
  // A reset is how some of these attempts end.
  socket.on("error", end);
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", () => resolve());
    socket.once("error", reject);
  });
  const received = () => Buffer.concat(chunks).toString("latin1");
  return {
    socket,
    received,
    write: (data) => void socket.write(data),
    async read(enough = () => false) {
      const timer = setTimeout(() => socket.destroy(new Error("no answer")), ANSWER_TIMEOUT_MS);
      while (!ended && !enough(received())) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      clearTimeout(timer);
      return received();
    },
    destroy: () => socket.destroy(),
  };
}

/** The bytes of a POST as any client would send it. */
export function rawPost(path: string, body: string, headers: readonly string[] = []): string {
  const length = Buffer.byteLength(body);
  const lines = [`POST ${path} HTTP/1.1`, "Host: localhost", `Content-Length: ${length}`, ...headers];
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}

/** Status codes of all responses in the text, in order. */
export function statusesOf(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
}
