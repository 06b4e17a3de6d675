// X-Request-Id: a client's own when it is sane, else a new one. Echoed on every response and logged.

import { assert } from "../lib/assert.ts";

/** Long enough for a UUID, a ULID or a trace id; a longer one would only fill the log. */
const REQUEST_ID_CHARS_MAX = 128;

export const REQUEST_ID_HEADER = "X-Request-Id";

export function chooseRequestId(incoming: string | null): string {
  if (incoming !== null && incoming.length <= REQUEST_ID_CHARS_MAX && /^[\x21-\x7e]+$/.test(incoming)) return incoming;
  return createId("req-");
}

/** Ids of the requests in progress, for those who only have the request. */
const ids = new WeakMap<Request, string>();

export function rememberRequestId(request: Request, id: string): void {
  ids.set(request, id);
}

export function requestIdOf(request: Request): string {
  const id = ids.get(request);
  assert(id !== undefined, "every request got its id at the edge");
  return id;
}

/** A new id: the prefix and 32 hexadecimal digits. */
export function createId(prefix: string): string {
  return `${prefix}${crypto.randomUUID().replaceAll("-", "")}`;
}
