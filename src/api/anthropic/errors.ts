// Errors in Anthropic's envelope, and which requests get it. Decides no error: the table of codes is protocol/errors.ts.

import { ERROR_KINDS, type ErrorBody } from "../../protocol/errors.ts";
import type { AnthropicErrorReply } from "./reply-schema.ts";

/** Names the version of the API; it is sent by all of Anthropic's clients, and by nobody else. */
export const VERSION_HEADER = "anthropic-version";

/** Where these clients look for the request's id. */
export const ANTHROPIC_REQUEST_ID_HEADER = "request-id";

/** The request's field that asks for a conversation that the server holds. */
export const THREAD_FIELD = "thread";

/** Anthropic's clients know by it that they must send conversations whole, and do it by themselves. */
const THREAD_DETAILS = { details: { error_code: "thread_unsupported_request", unsupported: [THREAD_FIELD] } };

const MESSAGES_PATH = "/v1/messages";

export function speaksAnthropic(request: Request): boolean {
  if (request.headers.has(VERSION_HEADER)) return true;
  const { pathname } = new URL(request.url);
  return pathname === MESSAGES_PATH || pathname.startsWith(`${MESSAGES_PATH}/`);
}

export function encodeErrorReply(body: ErrorBody, requestId: string): AnthropicErrorReply & { request_id: string } {
  const { status, hint } = ERROR_KINDS[body.code];
  return {
    type: "error",
    error: {
      type: nameErrorType(status),
      message: body.code === "context_length_exceeded" ? sayTooLong(body.message) : body.message,
      code: body.code,
      param: body.param ?? null,
      hint: body.hint ?? hint,
      ...(body.code === "not_supported" && body.param === THREAD_FIELD ? THREAD_DETAILS : {}),
    },
    request_id: requestId,
  };
}

function nameErrorType(status: number): string {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    case 504:
      return "timeout_error";
    default:
      return status >= 500 ? "api_error" : "invalid_request_error";
  }
}

/** Agents know by these words that they must shorten the conversation, and by the numbers by how much. */
function sayTooLong(message: string): string {
  const [, tokens, limit] = /\bhas (\d+) tokens\b.*\bholds (\d+)\b/.exec(message) ?? [];
  const numbers = tokens === undefined || limit === undefined ? "" : `${tokens} tokens > ${limit} maximum. `;
  return `prompt is too long: ${numbers}${message}`;
}
