// What no well-meaning client sends, to the compiled binary over bare sockets: each gets an answer that fits or a closed
// connection, and afterwards the server serves as before and holds nothing.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readEngine, startBinary, waitFor } from "../support/binary.ts";
import { openRaw, rawPost, statusesOf } from "../support/raw-http.ts";
import type { Server } from "../support/server.ts";
import { CHAT, expectServesOn, QUESTION, send } from "../support/still-serving.ts";

const MIB = 1024 * 1024;

let server: Server;
beforeAll(async () => {
  server = await startBinary();
});
afterAll(() => server.stop());
afterEach(() => expectServesOn(server));

/** Everything that the server says to these bytes, until it closes. */
async function exchange(data: string): Promise<string> {
  const connection = await openRaw(server.url);
  connection.write(data);
  const answer = await connection.read();
  connection.destroy();
  return answer;
}

const get = (path: string, headers = "Host: localhost\r\n") =>
  `GET ${path} HTTP/1.1\r\n${headers}Connection: close\r\n\r\n`;

describe("bytes", () => {
  test.each([
    ["no HTTP", "\u0000\u0001garbage\r\n\r\n", [400]],
    ["HTTP/1.1 without a Host", `GET /health HTTP/1.1\r\n\r\n`, [400]],
    ["HTTP/1.0 without a Host", `GET /health HTTP/1.0\r\nConnection: close\r\n\r\n`, [200]],
    [
      "two lengths",
      `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}`,
      [400],
    ],
    [
      "a length and chunks",
      `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      [400],
    ],
    ["a length of -5", `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n{}`, [400]],
    [
      "a length of 20 digits",
      `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n{}`,
      [400],
    ],
    [
      "chunks of garbage",
      `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n`,
      [400],
    ],
    [
      "a chunk of 2^64",
      `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc`,
      [400],
    ],
    ["a header of 200 kB", get("/health", `Host: localhost\r\nX: ${"a".repeat(200_000)}\r\n`), [431]],
    ["5000 headers", get("/health", `Host: localhost\r\n${"X: 1\r\n".repeat(5000)}`), [431]],
    ["a path of 100 kB", get(`/${"a".repeat(100_000)}`), [431]],
    ["a foreign Host", get("/health", "Host: evil.example\r\n"), [403]],
    ["a Host that is none", get("/health", "Host: local host:99999999\r\n"), [403]],
    ["half an IPv6 Host", get("/health", "Host: [::1\r\n"), [403]],
    ["an empty Host", get("/health", "Host:\r\n"), [403]],
    ["a Host with a path", get("/health", "Host: localhost/x?y#z\r\n"), [403]],
    ["a method of another route", get(CHAT), [405]],
    [
      "compression that is not there",
      rawPost(CHAT, "\u001f\u008b", ["Content-Encoding: gzip", "Connection: close"]),
      [400],
    ],
    [
      "several at once",
      get("/health").replace("Connection: close\r\n", "") +
        get("/v1/models").replace("Connection: close\r\n", "") +
        get("/nope"),
      [200, 200, 404],
    ],
  ] as [string, string, number[]][])("%s", async (_name, data, statuses) => {
    expect(statusesOf(await exchange(data))).toEqual(statuses);
  });

  test.each([
    "/v1/models/../../etc/passwd",
    "/v1/models/%2e%2e/%2e%2e/etc/passwd",
    "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/v1/models/%00",
    "/v1/models/__proto__",
    "/swagger/assets/../../../etc/passwd",
    "/swagger/assets/%2e%2e%2fpackage.json",
    "/swagger/assets/constructor",
    "//evil/health",
  ])("the path %s leads nowhere", async (path) => {
    const answer = await exchange(get(path));
    expect(statusesOf(answer)).toEqual([404]);
    expect(answer).toContain('"code":"');
    expect(answer).not.toContain("root:");
  });

  test("a path that can't be decoded is refused", async () => {
    for (const path of ["/v1/models/%", "/v1/models/%zz", "/v1/models/%ff"]) {
      expect(statusesOf(await exchange(get(path)))).toEqual([400]);
    }
  });

  test("33 MiB, announced or not, are refused", async () => {
    const body = `{"x":"${"x".repeat(33 * MIB)}"}`;
    expect(statusesOf(await exchange(rawPost(CHAT, body, ["Connection: close"])))).toEqual([413]);
    const connection = await openRaw(server.url);
    const head = `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`;
    connection.write(`${head}${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`);
    const answer = await connection.read((received) => received.includes("payload_too_large"));
    expect(statusesOf(answer)).toEqual([413]);
    connection.destroy();
  });

  test("half a request, then silence: others are served, and leaving ends it", async () => {
    const halves = ["GET /hea", `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"mess`];
    const connections = await Promise.all([...halves, ...halves].map(() => openRaw(server.url)));
    for (const [i, connection] of connections.entries()) connection.write(halves[i % 2] as string);
    expect((await send(server, CHAT, QUESTION)).status).toBe(200);
    for (const connection of connections) {
      expect(connection.received()).toBe("");
      connection.destroy();
    }
  });

  test("requests behind one in progress do no harm", async () => {
    // Bun 1.4.5 closes a connection on which a request follows one that is not answered yet.
    const answer = await exchange(rawPost(CHAT, JSON.stringify(QUESTION)).repeat(3) + get("/nope"));
    expect([[], [200, 200, 200, 404]]).toContainEqual(statusesOf(answer));
  });

  test("3000 connections that come and go", async () => {
    const streamed = rawPost(CHAT, JSON.stringify({ ...QUESTION, stream: true, ignore_eos: true, max_tokens: 4000 }));
    for (let round = 0; round < 15; round++) {
      const visits = Array.from({ length: 200 }, async (_, i) => {
        const connection = await openRaw(server.url);
        if (i % 2 === 1) connection.write(streamed);
        if (i % 3 === 0) await Bun.sleep(1);
        connection.destroy();
      });
      await Promise.all(visits);
    }
    await waitFor("all to be gone", async () => {
      const { stats } = await readEngine(server.url);
      return stats.running === 0 && stats.waiting === 0;
    });
  });
});
