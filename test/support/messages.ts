// Short ways to ask Anthropic's routes of a test's app, and to read what they answer.

import { type Json, readJson } from "./http-app.ts";

export const MESSAGES = "/v1/messages";

/** A request that is complete. */
export const HELLO = { max_tokens: 64, messages: [{ role: "user", content: "Hello!" }] };

/** The events of a whole stream, each with the name of its `event:` line checked. */
export async function readEvents(response: Response): Promise<Json[]> {
  const frames = (await response.text()).split("\n\n").filter((frame) => frame !== "");
  return frames.map((frame) => {
    const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(frame) ?? [];
    const event = JSON.parse(data ?? "null");
    if (event?.type !== name) throw new Error(`no event of this dialect: ${JSON.stringify(frame)}`);
    return event;
  });
}

/** Status and code of an error, with the envelope's shape and the request's id checked. */
export async function readMessageError(
  response: Response,
): Promise<{ status: number; type: string; code: string; param: string | null }> {
  const body = await readJson(response);
  const { error, request_id } = body;
  for (const field of ["message", "type", "code", "hint"]) {
    if (typeof error?.[field] !== "string") throw new Error(`the envelope has no ${field}: ${JSON.stringify(body)}`);
  }
  if (body.type !== "error" || request_id !== response.headers.get("request-id") || !request_id) {
    throw new Error(`the envelope does not say which request it was: ${JSON.stringify(body)}`);
  }
  return { status: response.status, type: error.type, code: error.code, param: error.param };
}
