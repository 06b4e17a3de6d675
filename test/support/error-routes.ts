// Every operation of the OpenAPI document as tests of errors need it: a request of it that works, taken from the
// document's own examples, the codes that it says it can answer with, and the envelope of its dialect.

import { expect } from "bun:test";
import { ERROR_KINDS, type ErrorCode } from "../../src/protocol/errors.ts";
import { createTestApp, type Json, readJson } from "./http-app.ts";

export type Dialect = "openai" | "anthropic" | "ollama";

export interface ErrorRoute {
  /** `POST /v1/chat/completions` */
  name: string;
  method: string;
  /** With the examples of its parameters in their places. */
  path: string;
  /** The first example of its body; null where it has none. */
  example: Json;
  codes: ErrorCode[];
  dialect: Dialect;
}

export async function listErrorRoutes(): Promise<ErrorRoute[]> {
  const document = await readJson(await createTestApp().get("/swagger/json"));
  return Object.entries<Json>(document.paths).flatMap(([path, item]) =>
    Object.entries<Json>(item).map(([method, operation]) => describe(method.toUpperCase(), path, operation)),
  );
}

function describe(method: string, path: string, operation: Json): ErrorRoute {
  const examples = operation.requestBody?.content["application/json"].examples ?? {};
  // A status of 400 and more may be no error: health is told with 503 too.
  const errors = Object.entries<Json>(operation.responses).flatMap(([status, { content }]) => {
    const json = content?.["application/json"];
    return Number(status) >= 400 && json?.examples !== undefined ? [json] : [];
  });
  return {
    name: `${method} ${path}`,
    method,
    path: path.replace(/\{(\w+)\}/g, (_, name) => findExample(operation, name)),
    example: Object.values<Json>(examples)[0]?.value ?? null,
    codes: errors.flatMap((error) => Object.keys(error.examples)) as ErrorCode[],
    dialect: nameDialect(errors[0]?.schema.$ref),
  };
}

function findExample(operation: Json, name: string): string {
  return operation.parameters.find((parameter: Json) => parameter.name === name && parameter.in === "path").example;
}

function nameDialect(schema: string): Dialect {
  if (schema.endsWith("/AnthropicErrorReply")) return "anthropic";
  return schema.endsWith("/OllamaErrorReply") ? "ollama" : "openai";
}

/** By status, as OpenAI's clients choose their exceptions. */
const OPENAI_TYPES: Record<number, string> = {
  401: "authentication_error",
  403: "permission_error",
  429: "rate_limit_error",
  500: "server_error",
  501: "server_error",
  502: "server_error",
  503: "server_error",
  504: "server_error",
};

const ANTHROPIC_TYPES: Record<number, string> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  500: "api_error",
  501: "api_error",
  502: "api_error",
  503: "overloaded_error",
  504: "timeout_error",
};

/** The body in its envelope, all of it: no field more, none less. */
export function expectEnvelope(dialect: Dialect, body: Json, code: ErrorCode): void {
  const { status } = ERROR_KINDS[code];
  const text = expect.stringMatching(/\S/);
  const param = body.error?.param === null ? null : text;
  const fields = { message: text, code, param, hint: text };
  switch (dialect) {
    case "openai":
      expect(body).toEqual({ error: { ...fields, type: OPENAI_TYPES[status] ?? "invalid_request_error" } });
      return;
    case "anthropic":
      expect(body).toEqual({
        type: "error",
        error: { ...fields, type: ANTHROPIC_TYPES[status] ?? "invalid_request_error" },
        request_id: text,
      });
      return;
    case "ollama":
      // What to do stands in the text, since its clients show nothing else.
      expect(body).toEqual({
        error: expect.stringMatching(/\S\. \S.*\.$/s),
        code,
        ...(body.param === undefined ? {} : { param: text }),
      });
      return;
    default:
      dialect satisfies never;
  }
}

/** Status, headers, code and envelope. */
export async function expectError(dialect: Dialect, response: Response, code: ErrorCode): Promise<void> {
  const { status, retryable } = ERROR_KINDS[code];
  const body = await readJson(response);
  expect({ status: response.status, body }).toMatchObject({ status });
  expectEnvelope(dialect, body, code);
  expect(response.headers.get("Content-Type")).toContain("application/json");
  expect(response.headers.get("X-Request-Id")).toBeString();
  if (dialect === "anthropic") expect(response.headers.get("request-id")).toBe(body.request_id);
  expect(response.headers.get("Retry-After")).toBe(retryable && (status === 503 || status === 429) ? "1" : null);
}
