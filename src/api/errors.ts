// AppError → OpenAI's error envelope and HTTP response. The only place that knows the envelope's shape.
// Decides no error: the table of codes is protocol/errors.ts.

import { type AppError, ERROR_KINDS, type ErrorBody, type ErrorCode } from "../protocol/errors.ts";

export interface ErrorEnvelope {
  error: { message: string; type: string; code: ErrorCode; param: string | null; hint: string };
}

/** Seconds after which a refused client may try again; short, since most waits here are a model's load. */
const RETRY_AFTER_SECONDS = 1;

export function encodeErrorEnvelope(body: ErrorBody): ErrorEnvelope {
  return {
    error: {
      message: body.message,
      type: nameErrorType(ERROR_KINDS[body.code].status),
      code: body.code,
      param: body.param ?? null,
      hint: body.hint ?? ERROR_KINDS[body.code].hint,
    },
  };
}

export function encodeErrorResponse(error: AppError, headers: Record<string, string> = {}): Response {
  const retry = error.retryable && (error.status === 503 || error.status === 429);
  return Response.json(encodeErrorEnvelope(error.toBody()), {
    status: error.status,
    headers: retry ? { "Retry-After": String(RETRY_AFTER_SECONDS), ...headers } : headers,
  });
}

/** OpenAI's `type` word, which its clients use to choose an exception class. */
function nameErrorType(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}
