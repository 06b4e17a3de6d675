// Every code of the table in the envelope of every dialect, also those that no route answers with yet; and who gets which
// envelope. What brings each about is in error-paths.test.ts.

import { describe, expect, test } from "bun:test";
import { answerError } from "../../src/api/error-dialects.ts";
import { REQUEST_ID_HEADER, rememberRequestId } from "../../src/api/request-id.ts";
import { AppError, ERROR_KINDS, type ErrorCode } from "../../src/protocol/errors.ts";
import { type Dialect, expectEnvelope } from "../support/error-routes.ts";
import { createTestApp, readJson } from "../support/http-app.ts";

const CODES = Object.keys(ERROR_KINDS) as ErrorCode[];
const VERSION = { "anthropic-version": "2023-06-01" };

/** Each dialect's own routes, and what chooses a dialect elsewhere. */
const SPEAKERS: [dialect: Dialect, path: string, headers: Record<string, string>][] = [
  ["openai", "/v1/chat/completions", {}],
  ["openai", "/v1/responses/resp_1", {}],
  ["openai", "/infill", {}],
  ["openai", "/api/cache", {}],
  ["openai", "/nowhere", {}],
  ["anthropic", "/v1/messages", {}],
  ["anthropic", "/v1/messages/count_tokens", {}],
  ["anthropic", "/v1/models", VERSION],
  ["anthropic", "/api/health", VERSION],
  ["anthropic", "/nowhere", VERSION],
  ["ollama", "/api/chat", {}],
  ["ollama", "/api/delete/", {}],
  ["ollama", "/api/pull", {}],
  ["ollama", "/api/tags", VERSION],
];

describe.each(SPEAKERS)("%s at %s with %j", (dialect, path, headers) => {
  test.each(CODES)("%s", async (code) => {
    const request = new Request(`http://localhost:9000${path}`, { headers });
    rememberRequestId(request, "req-1");
    const { status, retryable, hint } = ERROR_KINDS[code];
    for (const param of [undefined, "messages[0].role"]) {
      const error = new AppError({ code, message: "What went wrong", ...(param === undefined ? {} : { param }) });
      const response = answerError(request, error);
      expect(response.status).toBe(status);
      expect(response.headers.has("Retry-After")).toBe(retryable && (status === 503 || status === 429));
      const body = await readJson(response);
      expectEnvelope(dialect, body, code);
      const fields = dialect === "ollama" ? body : body.error;
      expect(fields.param ?? undefined).toBe(param);
      expect(JSON.stringify(body)).toContain(JSON.stringify(hint).slice(1, -1));
      expect(JSON.stringify(body)).toContain("What went wrong");
    }
  });
});

describe("where no route is", () => {
  test.each([
    ["openai", "GET", "/nope", {}, "not_found"],
    ["openai", "PUT", "/v1/chat/completions", {}, "method_not_allowed"],
    ["openai", "GET", "/v1/responses", {}, "method_not_allowed"],
    ["openai", "PUT", "/v1/conversations/conv_1", {}, "method_not_allowed"],
    ["openai", "POST", "/api/health", {}, "method_not_allowed"],
    ["openai", "PATCH", "/api/streams/strm-1", {}, "method_not_allowed"],
    ["openai", "GET", "/infill", {}, "method_not_allowed"],
    ["openai", "GET", "/rerank", {}, "method_not_allowed"],
    ["openai", "GET", "/v1/embeddings", {}, "method_not_allowed"],
    ["anthropic", "GET", "/v1/messages", {}, "method_not_allowed"],
    ["anthropic", "DELETE", "/v1/messages/count_tokens", {}, "method_not_allowed"],
    ["anthropic", "POST", "/v1/messages/batches", {}, "not_found"],
    ["anthropic", "GET", "/nope", VERSION, "not_found"],
    ["ollama", "GET", "/api/chat", {}, "method_not_allowed"],
    ["ollama", "POST", "/api/tags", {}, "method_not_allowed"],
    ["ollama", "GET", "/api/pull", {}, "method_not_allowed"],
    ["ollama", "POST", "/api/push", {}, "not_implemented"],
    ["ollama", "POST", "/api/create", {}, "not_implemented"],
    ["ollama", "HEAD", "/api/blobs/sha256:abc", {}, "not_implemented"],
  ] as const)("%s: %s %s", async (dialect, method, path, headers, code) => {
    const { app } = createTestApp();
    const response = await app.handle(new Request(`http://localhost:9000${path}`, { method, headers }));
    expect(response.status).toBe(ERROR_KINDS[code].status);
    expect(response.headers.get(REQUEST_ID_HEADER)).toBeString();
    expect(response.headers.has("Allow")).toBe(code === "method_not_allowed");
    if (method !== "HEAD") expectEnvelope(dialect, await readJson(response), code);
  });

  test("a foreign page gets the envelope of the dialect that it tried", async () => {
    const { app } = createTestApp();
    for (const [dialect, path, version] of SPEAKERS) {
      const headers = { ...version, Origin: "https://evil.example" };
      const response = await app.handle(new Request(`http://localhost:9000${path}`, { headers }));
      expect(response.status).toBe(403);
      expectEnvelope(dialect, await readJson(response), "forbidden");
    }
  });
});
