// The one table of operating errors: code → HTTP status, whether a retry may help, and what to do.
// A leaf: the server, the engine and the tests share it. Envelopes are the API's business.

export interface ErrorKind {
  /** HTTP status that every dialect answers with. */
  status: number;
  /** True when the same request may succeed later without a change. */
  retryable: boolean;
  /** What the caller can do about it, when the thrower says nothing better. */
  hint: string;
}

export const ERROR_KINDS = {
  invalid_request: { status: 400, retryable: false, hint: "Correct the field that the message names." },
  model_not_found: { status: 404, retryable: false, hint: "GET /v1/models lists the models." },
  not_found: { status: 404, retryable: false, hint: "GET / lists where to start; /swagger shows every route." },
  method_not_allowed: { status: 405, retryable: false, hint: "/swagger shows the methods of every route." },
  model_loading: { status: 503, retryable: true, hint: "The model is still loading; try again in a moment." },
  model_damaged: { status: 500, retryable: false, hint: "Fetch the file again and compare its checksum." },
  format_unsupported: { status: 400, retryable: false, hint: "Use a GGUF file." },
  context_length_exceeded: {
    status: 400,
    retryable: false,
    hint: "Shorten the prompt or raise --ctx; X-MLO-Truncate: auto drops the oldest turns of a chat.",
  },
  out_of_memory: { status: 503, retryable: true, hint: "Free memory, or use a smaller --ctx or a smaller model." },
  plan_refused: { status: 400, retryable: false, hint: "Change what was asked for explicitly." },
  engine_crashed: { status: 503, retryable: true, hint: "Try again: the next request starts a new engine." },
  request_crashes_engine: { status: 400, retryable: false, hint: "Change the request: it ended two engines." },
  overloaded: { status: 503, retryable: true, hint: "Try again later, or raise --parallel." },
  timeout: { status: 504, retryable: true, hint: "Raise the timeout or ask for fewer tokens." },
  cancelled: { status: 499, retryable: true, hint: "The client went away." },
  unauthorized: { status: 401, retryable: false, hint: "Send a valid API key." },
  forbidden: {
    status: 403,
    retryable: false,
    hint: "Add the host with --allowed-host or the origin with --cors-origin.",
  },
  rate_limited: { status: 429, retryable: true, hint: "Slow down." },
  conflict: { status: 409, retryable: false, hint: "Look at what is there, and choose another name or place." },
  payload_too_large: { status: 413, retryable: false, hint: "Send a smaller body." },
  not_supported: { status: 400, retryable: false, hint: "Leave the field out." },
  not_implemented: { status: 501, retryable: false, hint: "/swagger shows what this server can do." },
  storage_unavailable: {
    status: 503,
    retryable: true,
    hint: "Free disk space, or check the permissions of the state folder.",
  },
  download_failed: { status: 502, retryable: true, hint: "Try again in a while." },
  internal: { status: 500, retryable: false, hint: "This is a bug: please report it with the log." },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_KINDS;

/** An error as it crosses the process boundary and reaches the client's envelope. */
export interface ErrorBody {
  code: ErrorCode;
  message: string;
  hint?: string;
  /** The request field at fault, as a JSON path without the leading `$`. */
  param?: string;
  /** Of a prompt that is too long: what it has, and what a context holds. */
  tokens?: { prompt: number; context: number };
}

/** An error of operation: expected, explained, and answered. Programmer errors are assertions instead. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly hint: string;
  readonly param: string | null;
  readonly tokens: ErrorBody["tokens"];

  constructor(body: ErrorBody, options?: { cause?: unknown }) {
    super(body.message, options);
    this.name = "AppError";
    this.code = body.code;
    this.hint = body.hint ?? ERROR_KINDS[body.code].hint;
    this.param = body.param ?? null;
    this.tokens = body.tokens;
  }

  get status(): number {
    return ERROR_KINDS[this.code].status;
  }

  get retryable(): boolean {
    return ERROR_KINDS[this.code].retryable;
  }

  toBody(): ErrorBody {
    const body: ErrorBody = { code: this.code, message: this.message, hint: this.hint };
    if (this.param !== null) body.param = this.param;
    if (this.tokens !== undefined) body.tokens = this.tokens;
    return body;
  }
}

/** Any thrown value as an error of the table: what is not an `AppError` is `internal`. */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new AppError({ code: "internal", message }, { cause: thrown });
}
