// Opens the socket for an app and closes it again. Owns no route and no signal handling.

import { HeapSweeper } from "../lib/heap-sweeper.ts";
import { AppError, type ErrorBody } from "../protocol/errors.ts";
import type { HttpApp } from "./app.ts";
import { encodeErrorEnvelope } from "./errors.ts";
import { isStream } from "./frame-stream.ts";
import { type SocketSession, type SocketWire, sessionOf } from "./socket-upgrade.ts";

export interface ListenAddress {
  host: string;
  /** 0 = any free port. */
  port: number;
}

export interface RunningServer {
  /** Without a slash at its end; a wildcard address is shown as the loopback one. */
  url: string;
  port: number;
  /** Graceful: no new connections, and resolves once the requests in progress are answered. Else they are cut. */
  stop(graceful: boolean): Promise<void>;
}

/** A connection without a request may stay this long; one with a request in progress has no such limit. */
const IDLE_SECONDS = 120;

/** Messages of clients choose topics, of which there are a few. */
const SOCKET_MESSAGE_BYTES_MAX = 4096;
/**
 * A connection on which nothing comes is pinged some 16 s before this (measured with Bun 1.4.5), and closed where nothing
 * answers. Proxies commonly cut one that is silent for 30 or 60 seconds.
 */
const SOCKET_IDLE_SECONDS = 40;

/** Throws an AppError that says what to do when the address can't be had. */
export function listen(app: Pick<HttpApp, "handle">, address: ListenAddress): RunningServer {
  const hostname = address.host.replace(/^\[|\]$/g, "");
  const server = openSocket(app, hostname, address.port);
  const port = server.port ?? address.port;
  return {
    url: `http://${formatHost(hostname)}:${port}`,
    port,
    stop: (graceful) => server.stop(!graceful),
  };
}

function openSocket(app: Pick<HttpApp, "handle">, hostname: string, port: number) {
  const sweeper = new HeapSweeper();
  try {
    return Bun.serve({
      hostname,
      port,
      idleTimeout: IDLE_SECONDS,
      // The app counts bodies itself: Bun would answer 413 without an envelope.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      development: false,
      // Said aloud, because with `development: false` Bun 1.4.5 shares a port that is taken, and the two
      // programs would answer by turns.
      reusePort: false,
      async fetch(request, self) {
        // A long prompt is silent for longer than any idle limit.
        self.timeout(request, 0);
        const response = await app.handle(request);
        const session = sessionOf(response);
        if (session !== null) return upgrade(self, request, response, session);
        // A stream goes on after this, and watches its own reader.
        if (!isStream(response)) self.timeout(request, IDLE_SECONDS);
        sweeper.note();
        setImmediate(() => sweeper.sweep(self.pendingRequests === 0));
        return response;
      },
      websocket: {
        data: {} as SocketSession,
        maxPayloadLength: SOCKET_MESSAGE_BYTES_MAX,
        idleTimeout: SOCKET_IDLE_SECONDS,
        sendPings: true,
        // A few bytes could stand for gigabytes.
        perMessageDeflate: false,
        open: (socket) => socket.data.opened(wireOf(socket)),
        message: (socket, message) => socket.data.received(typeof message === "string" ? message : null),
        drain: (socket) => socket.data.drained(),
        close: (socket) => socket.data.closed(),
      },
    });
  } catch (thrown) {
    throw new AppError(explainFailure(thrown, hostname, port), { cause: thrown });
  }
}

function upgrade(
  self: Bun.Server<SocketSession>,
  request: Request,
  { headers }: Response,
  session: SocketSession,
): Response | undefined {
  if (self.upgrade(request, { data: session, headers })) return undefined;
  const error: ErrorBody = { code: "invalid_request", message: "the handshake of the WebSocket is not valid" };
  return Response.json(encodeErrorEnvelope(error), { status: 400, headers });
}

function wireOf(socket: Bun.ServerWebSocket<SocketSession>): SocketWire {
  return {
    // -1: it is kept until the reader takes it.
    send: (text) => socket.sendText(text) === -1,
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
  };
}

function explainFailure(thrown: unknown, hostname: string, port: number): ErrorBody {
  const code = typeof thrown === "object" && thrown !== null && "code" in thrown ? String(thrown.code) : "";
  const at = `${formatHost(hostname, false)}:${port}`;
  switch (code) {
    case "EADDRINUSE":
      return {
        code: "internal",
        message: `${at} is in use by another program`,
        hint: "Choose another port with --port, or 0 for any free one.",
      };
    case "EACCES":
      return {
        code: "internal",
        message: `no permission to listen on ${at}`,
        hint: "Choose a port above 1023 with --port.",
      };
    case "EADDRNOTAVAIL":
      return {
        code: "internal",
        message: `${hostname} is not an address of this machine`,
        hint: "Choose another with --host: 127.0.0.1 for this machine only, 0.0.0.0 for every interface.",
      };
    default:
      return {
        code: "internal",
        message: `can't listen on ${at}: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
        hint: "Choose another address with --host and --port.",
      };
  }
}

function formatHost(hostname: string, reachable = true): string {
  if (reachable && hostname === "0.0.0.0") return "127.0.0.1";
  if (reachable && hostname === "::") return "[::1]";
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}
