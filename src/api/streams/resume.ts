// What a request says of a stream that it may come back to, in headers. Pure.

import { Type } from "@sinclair/typebox";
import { AppError } from "../../protocol/errors.ts";

export const RESUME_HEADER = "X-MLO-Resume";
export const STREAM_HEADER = "X-MLO-Stream";
const LAST_EVENT_HEADER = "Last-Event-ID";
/** Empty is a client that has had no event yet. */
export const LAST_EVENT_PATTERN = "^[0-9]{0,9}$";

/** A laptop that sleeps over lunch. Until then a generation may run for nobody. */
const KEEP_SECONDS_MAX = 3600;

export const RESUME_HEADERS = [
  {
    name: RESUME_HEADER,
    description:
      "Of a stream: seconds for which it goes on and its events are kept while nobody reads it. They have ids then, and " +
      "`GET /api/streams/{id}` with `Last-Event-ID` goes on behind one. Without it a client that leaves ends its generation.",
    schema: Type.Integer({ minimum: 1, maximum: KEEP_SECONDS_MAX }),
  },
];

export const STREAM_HEADER_DOCS = { [STREAM_HEADER]: `The stream's id. Absent: without \`${RESUME_HEADER}\`.` };

/** Seconds, or null when nobody asked. Throws `invalid_request`. */
export function readResume(headers: Headers): number | null {
  const text = headers.get(RESUME_HEADER);
  if (text === null) return null;
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (seconds >= 1 && seconds <= KEEP_SECONDS_MAX) return seconds;
  const message = `${RESUME_HEADER} is a number of seconds from 1 to ${KEEP_SECONDS_MAX}`;
  throw new AppError({ code: "invalid_request", message, param: RESUME_HEADER });
}

/** The number of the last event that a client has; -1 for none. Throws `invalid_request`. */
export function readLastEvent(headers: Headers): number {
  const text = headers.get(LAST_EVENT_HEADER)?.trim() ?? "";
  if (text === "") return -1;
  if (new RegExp(LAST_EVENT_PATTERN).test(text)) return Number(text);
  const message = `${LAST_EVENT_HEADER} is the \`id\` of an event of the stream`;
  throw new AppError({ code: "invalid_request", message, param: LAST_EVENT_HEADER });
}
