// AppError → HTTP response, in the envelope of the dialect that the request speaks. Status and headers are the same in
// each of them.

import type { AppError } from "../protocol/errors.ts";
import { encodeErrorReply, speaksAnthropic } from "./anthropic/errors.ts";
import { encodeErrorEnvelope } from "./errors.ts";
import { encodeOllamaError, isOllamaPath } from "./ollama/errors.ts";
import { requestIdOf } from "./request-id.ts";

/** Seconds after which a refused client may try again; short, since most waits here are a model's load. */
const RETRY_AFTER_SECONDS = 1;

export function answerError(request: Request, error: AppError, headers: Record<string, string> = {}): Response {
  const retry = error.retryable && (error.status === 503 || error.status === 429);
  return Response.json(encodeBody(request, error), {
    status: error.status,
    headers: retry ? { "Retry-After": String(RETRY_AFTER_SECONDS), ...headers } : headers,
  });
}

function encodeBody(request: Request, error: AppError): object {
  const body = error.toBody();
  // A path tells more than a header, which clients may send everywhere.
  if (isOllamaPath(new URL(request.url).pathname)) return encodeOllamaError(body);
  return speaksAnthropic(request) ? encodeErrorReply(body, requestIdOf(request)) : encodeErrorEnvelope(body);
}
