// What a request may say beyond OpenAI's API, in headers or in the body's `mlo`: its class, its conversation, and what
// may be done with its state. A header comes before the body's field. Pure; the fields' schema is here too.

import { isUtf8 } from "node:buffer";
import { type Static, Type } from "@sinclair/typebox";
import { AppError } from "../protocol/errors.ts";
import type { CachePolicy, GenerationRequest, Priority } from "../protocol/generation.ts";

/** Enough for a path or two UUIDs; it is listed, logged and compared. */
const SESSION_CHARS_MAX = 200;

const PRIORITY = "X-MLO-Priority";
const SESSION = "X-MLO-Session";
const KV = "X-MLO-KV";
const TRUNCATE = "X-MLO-Truncate";

export const MLO_FIELDS = {
  cache_prompt: Type.Optional(
    Type.Boolean({ description: "False: read the whole prompt anew. Default true, as llama.cpp's server has it." }),
  ),
  context_shift: Type.Optional(
    Type.Boolean({
      description:
        "When the context is full, drop the older half of what stands behind the first `n_keep` tokens, and go on. The " +
        "rest is read anew. Default `--context-shift`; without it the answer ends with `length`.",
    }),
  ),
  n_keep: Type.Optional(
    Type.Integer({
      minimum: -1,
      maximum: 2_147_483_647,
      description: "At most half of the context, and 1 at least; -1 is the whole prompt. Default 0.",
    }),
  ),
  return_progress: Type.Optional(
    Type.Boolean({
      description:
        "While the prompt of a streamed answer is read, tell how far: `prompt_progress` in chunks of Chat Completions, " +
        "Completions and infill; other routes take no notice. Default false.",
    }),
  ),
  mlo: Type.Optional(
    Type.Object(
      {
        priority: Type.Optional(
          Type.Union([Type.Literal("interactive"), Type.Literal("batch")], {
            description: "`batch` waits behind `interactive`, but not for ever. Default `interactive`.",
          }),
        ),
        session: Type.Optional(
          Type.String({
            minLength: 1,
            maxLength: SESSION_CHARS_MAX,
            description: "Name of the conversation: its state outlives that of passing requests.",
          }),
        ),
        kv: Type.Optional(
          Type.Union([Type.Literal("on"), Type.Literal("off")], {
            description: "`off`: nothing of this request is kept, in memory or on disk.",
          }),
        ),
        truncate: Type.Optional(
          Type.Union([Type.Literal("auto"), Type.Literal("disabled")], {
            description:
              "`auto`: of a conversation that is too long the oldest turns are left out whole; system text and tools stay. " +
              "Default `disabled`: it is refused. Other prompts are never cut.",
          }),
        ),
      },
      { description: `The same as the headers ${PRIORITY}, ${SESSION}, ${KV} and ${TRUNCATE}, which come first.` },
    ),
  ),
};

const MloBody = Type.Object(MLO_FIELDS);
export type MloBody = Static<typeof MloBody>;

/** The headers as the documentation names them. */
export const MLO_HEADERS = [
  { name: PRIORITY, description: "`interactive` (default) or `batch`.", schema: { enum: ["interactive", "batch"] } },
  {
    name: SESSION,
    description: "Name of the conversation, of printable characters.",
    schema: { type: "string", minLength: 1, maxLength: SESSION_CHARS_MAX },
  },
  { name: KV, description: "`off`: keep nothing of this request.", schema: { enum: ["on", "off"] } },
];

/** Those of routes that take conversations. */
export const CONVERSATION_HEADERS = [
  ...MLO_HEADERS,
  {
    name: TRUNCATE,
    description: "`auto`: leave out the oldest turns of a conversation that is too long.",
    schema: { enum: ["auto", "disabled"] },
  },
];

type MloRequest = Pick<
  GenerationRequest,
  "priority" | "session" | "cache" | "contextShift" | "keepTokens" | "progress"
>;

/** Throws `invalid_request` with the name of the header or field at fault. */
export function readMloFields(headers: Headers, body: MloBody): MloRequest {
  const request: MloRequest = {};
  const priority = readWord(headers, PRIORITY, ["interactive", "batch"] as const) ?? body.mlo?.priority;
  if (priority !== undefined) request.priority = priority satisfies Priority;
  const session = readSession(headers, body);
  if (session !== undefined) request.session = session;
  const cache: CachePolicy = {};
  if (body.cache_prompt === false) cache.reuse = false;
  if ((readWord(headers, KV, ["on", "off"] as const) ?? body.mlo?.kv) === "off") cache.keep = false;
  if (Object.keys(cache).length > 0) request.cache = cache;
  if (body.context_shift !== undefined) request.contextShift = body.context_shift;
  if (body.n_keep !== undefined) request.keepTokens = body.n_keep;
  if (body.return_progress === true) request.progress = true;
  return request;
}

/** Undefined: nothing is said of it. Throws `invalid_request`. */
export function readTruncate(headers: Headers, body: MloBody): boolean | undefined {
  const word = readWord(headers, TRUNCATE, ["auto", "disabled"] as const) ?? body.mlo?.truncate;
  return word === undefined ? undefined : word === "auto";
}

function readWord<const W extends string>(headers: Headers, name: string, words: readonly W[]): W | undefined {
  const value = headers.get(name);
  if (value === null) return undefined;
  const word = words.find((candidate) => candidate === value.trim().toLowerCase());
  if (word !== undefined) return word;
  throw invalid(name, `the header ${name} must be ${words.join(" or ")}, got ${JSON.stringify(value.slice(0, 60))}`);
}

function readSession(headers: Headers, body: MloBody): string | undefined {
  const raw = headers.get(SESSION)?.trim();
  const header = raw === undefined ? undefined : decodeHeader(raw);
  const session = header ?? body.mlo?.session;
  if (session === undefined) return undefined;
  if (isSessionName(session)) return session;
  const what = `must be 1 to ${SESSION_CHARS_MAX} printable characters`;
  throw header === undefined
    ? invalid("mlo.session", `\`mlo.session\` ${what}`)
    : invalid(SESSION, `the header ${SESSION} ${what}`);
}

/** No control characters, no invisible ones, no line ends: it is shown in lists and logs. */
export function isSessionName(name: string): boolean {
  return name.length <= SESSION_CHARS_MAX && /^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(name);
}

/** Headers come a byte a character; clients send UTF-8, which is then the same name as in a body. */
function decodeHeader(value: string): string {
  const bytes = Buffer.from(value, "latin1");
  return isUtf8(bytes) ? bytes.toString("utf8") : value;
}

function invalid(param: string, message: string): AppError {
  return new AppError({ code: "invalid_request", message, param });
}
