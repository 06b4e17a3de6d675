// AppError → OpenAI's error envelope. The only place that knows the envelope's shape.
// Decides no error: the table of codes is protocol/errors.ts. Responses are made in error-dialects.ts.

import { ERROR_KINDS, type ErrorBody, type ErrorCode } from "../protocol/errors.ts";

export interface ErrorEnvelope {
  error: { message: string; type: string; code: ErrorCode; param: string | null; hint: string };
}

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

/** OpenAI's `type` word, which its clients use to choose an exception class. */
function nameErrorType(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}
