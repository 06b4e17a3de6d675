// How a route asks for a WebSocket: its answer carries what is to live on the connection, and whoever listens makes it one. Every
// check of the edge (Host, Origin) thus holds for sockets as it does for answers.

/** The connection, as far as it is needed. */
export interface SocketWire {
  /** What the runtime keeps of it for a reader that is behind: true means wait for `drained`. */
  send(text: string): boolean;
  close(code: number, reason: string): void;
  /** Without a farewell. */
  terminate(): void;
}

/** What lives on a connection. */
export interface SocketSession {
  opened(wire: SocketWire): void;
  /** Null: bytes, not text. */
  received(text: string | null): void;
  drained(): void;
  closed(): void;
}

const sessions = new WeakMap<Response, SocketSession>();

/** The answer of a route whose request asks for a WebSocket. */
export function answerWithSocket(session: SocketSession): Response {
  const response = new Response(null, { status: 101 });
  sessions.set(response, session);
  return response;
}

/** Null: it is an answer like others. */
export function sessionOf(response: Response): SocketSession | null {
  return sessions.get(response) ?? null;
}

/** Of a request that is a handshake, as far as the runtime needs it. */
export function isHandshake({ headers }: Request): boolean {
  const listed = (name: string, word: string): boolean =>
    (headers.get(name) ?? "").split(",").some((part) => part.trim().toLowerCase() === word);
  const isCurrent = headers.get("Sec-WebSocket-Version") === "13";
  const hasKey = /^[A-Za-z0-9+/]{22}==$/.test(headers.get("Sec-WebSocket-Key") ?? "");
  return listed("Upgrade", "websocket") && listed("Connection", "upgrade") && isCurrent && hasKey;
}
