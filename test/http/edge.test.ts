import { expect, test } from "bun:test";
import { isOriginAllowed } from "../../src/api/cors.ts";
import { isHostAllowed } from "../../src/api/host-check.ts";
import { DEFAULT_CORS_ORIGINS } from "../../src/api/options.ts";
import { createTestApp, readError } from "../support/http-app.ts";

const CHAT = "/v1/chat/completions";
const HELLO = { messages: [{ role: "user", content: "Hello!" }] };

test.each([
  ["localhost", true],
  ["LOCALHOST:9000", true],
  ["localhost.:9000", true],
  ["127.0.0.1:1234", true],
  ["[::1]:9000", true],
  ["evil.example", false],
  ["localhost.evil.example", false],
  ["127.0.0.1.evil.example", false],
  ["192.168.1.5:9000", false],
  ["localhost@evil.example", false],
  ["localhost:9000:1", false],
  ["", false],
] as const)("Host %s: %p", (header, allowed) => {
  expect(isHostAllowed(header, { host: "127.0.0.1", allowedHosts: [] })).toBe(allowed);
});

test("the Host check knows the bound host, the allowed ones, wildcards and *", () => {
  expect(isHostAllowed("box.lan:9000", { host: "box.lan", allowedHosts: [] })).toBe(true);
  expect(isHostAllowed("box.lan", { host: "127.0.0.1", allowedHosts: ["Box.LAN"] })).toBe(true);
  expect(isHostAllowed("192.168.1.5:9000", { host: "0.0.0.0", allowedHosts: [] })).toBe(true);
  expect(isHostAllowed("[fe80::1]:9000", { host: "::", allowedHosts: [] })).toBe(true);
  expect(isHostAllowed("evil.example", { host: "0.0.0.0", allowedHosts: [] })).toBe(false);
  expect(isHostAllowed("evil.example", { host: "127.0.0.1", allowedHosts: ["*"] })).toBe(true);
});

test("a foreign Host is 403 before any route", async () => {
  const { get, post, inference } = createTestApp();
  expect(await readError(await get("/v1/models", { Host: "evil.example" }))).toMatchObject({
    status: 403,
    code: "forbidden",
  });
  expect((await post(CHAT, HELLO, { headers: { Host: "evil.example" } })).status).toBe(403);
  expect(inference.generateCalls).toHaveLength(0);
});

test.each([
  ["http://localhost:3000", true],
  ["http://localhost", true],
  ["https://127.0.0.1:8443", true],
  ["http://[::1]:5173", true],
  ["vscode-webview://abc123", true],
  ["http://localhost.evil.example", false],
  ["http://localhost:evil", false],
  ["https://evil.example", false],
  ["null", false],
  ["http://box.lan:9000", true],
] as const)("Origin %s: %p", (origin, allowed) => {
  expect(isOriginAllowed(origin, DEFAULT_CORS_ORIGINS, "box.lan:9000")).toBe(allowed);
});

test("origin patterns: a star in a name stays in that name", () => {
  expect(isOriginAllowed("https://a.example.com", ["https://*.example.com"], "x")).toBe(true);
  expect(isOriginAllowed("https://evil.com:1/.example.com", ["https://*.example.com"], "x")).toBe(false);
  expect(isOriginAllowed("https://aexample.com", ["https://a.example.com"], "x")).toBe(false);
});

test("a preflight from an allowed origin names methods and headers", async () => {
  const { app } = createTestApp();
  const headers = {
    Origin: "http://localhost:3000",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type",
  };
  const response = await app.handle(new Request(`http://localhost${CHAT}`, { method: "OPTIONS", headers }));
  expect(response.status).toBe(204);
  expect(response.headers.get("Access-Control-Allow-Origin")).toBe("http://localhost:3000");
  expect(response.headers.get("Access-Control-Allow-Methods")).toContain("POST");
  expect(response.headers.get("Access-Control-Allow-Headers")).toBe("authorization, content-type");
});

test("a foreign page is refused, with or without a preflight", async () => {
  const { app, post, inference } = createTestApp();
  const headers = { Origin: "https://evil.example", "Access-Control-Request-Method": "POST" };
  const preflight = await app.handle(new Request(`http://localhost${CHAT}`, { method: "OPTIONS", headers }));
  expect(preflight.status).toBe(403);
  expect(preflight.headers.has("Access-Control-Allow-Origin")).toBe(false);
  expect((await post(CHAT, HELLO, { headers: { Origin: "https://evil.example" } })).status).toBe(403);
  expect(inference.generateCalls).toHaveLength(0);
});

test("answers, streams and errors carry the CORS headers; * is everybody", async () => {
  const { get, post } = createTestApp({ corsOrigins: ["*"] });
  const headers = { Origin: "https://anywhere.example" };
  for (const response of [
    await get("/v1/models", headers),
    await get("/nope", headers),
    await post(CHAT, { ...HELLO, stream: true }, { headers }),
  ]) {
    expect(response.headers.get("Access-Control-Allow-Origin")).toBe("*");
    expect(response.headers.get("Access-Control-Expose-Headers")).toContain("X-Request-Id");
  }
});

test("a sane request id is echoed, another is replaced", async () => {
  const { get } = createTestApp();
  const echo = async (id: string) => (await get("/health", { "X-Request-Id": id })).headers.get("X-Request-Id");
  expect(await echo("abc-123")).toBe("abc-123");
  expect(await echo("x".repeat(128))).toBe("x".repeat(128));
  expect(await echo("x".repeat(129))).toMatch(/^req-[0-9a-f]{32}$/);
  expect(await echo("two words")).toMatch(/^req-/);
  expect((await get("/nope")).headers.get("X-Request-Id")).toMatch(/^req-/);
  expect((await get("/health", { Host: "evil.example" })).headers.has("X-Request-Id")).toBe(true);
});

test("an unknown route is 404, a wrong method 405 with Allow", async () => {
  const { get, post } = createTestApp();
  expect(await readError(await get("/nope"))).toMatchObject({ status: 404, code: "not_found" });
  for (const path of [CHAT, "/v1/embeddings"]) {
    const response = await get(path);
    expect(response.headers.get("Allow")).toBe("POST");
    expect(await readError(response)).toMatchObject({ status: 405, code: "method_not_allowed" });
  }
  expect(await readError(await post("/v1/models/demo", {}))).toMatchObject({ status: 405 });
});

test.each([
  ["", "empty"],
  ["{", "not valid JSON"],
  ["[1]", "must be a JSON object"],
  ["null", "must be a JSON object"],
  ["[".repeat(200_000), "not valid JSON"],
])("the body %.10j is 400", async (body, part) => {
  const { post } = createTestApp();
  const response = await post(CHAT, body);
  expect(response.status).toBe(400);
  expect(await response.text()).toContain(part);
});

test("bytes that are not UTF-8 are 400", async () => {
  const { app } = createTestApp();
  const body = Uint8Array.of(0x7b, 0xff, 0x7d);
  const response = await app.handle(new Request(`http://localhost${CHAT}`, { method: "POST", body }));
  expect(await readError(response)).toMatchObject({ status: 400, code: "invalid_request" });
});

test("the body's size is limited, declared or not", async () => {
  const { post, app } = createTestApp({ bodyBytesMax: 1000 });
  const long = JSON.stringify({ messages: [{ role: "user", content: "x".repeat(1000) }] });
  const expected = { status: 413, code: "payload_too_large" };
  expect(await readError(await post(CHAT, long))).toMatchObject(expected);
  expect(await readError(await post(CHAT, "{}", { headers: { "Content-Length": "1001" } }))).toMatchObject(expected);
  const body = new ReadableStream({
    pull(controller) {
      controller.enqueue(new Uint8Array(400));
    },
  });
  expect(
    await readError(await app.handle(new Request(`http://localhost${CHAT}`, { method: "POST", body }))),
  ).toMatchObject(expected);
  expect((await post(CHAT, HELLO)).status).toBe(200);
});

test("any content type is read as JSON, as curl sends it", async () => {
  const { post } = createTestApp();
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  expect((await post(CHAT, HELLO, { headers })).status).toBe(200);
});
