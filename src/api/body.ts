// Reads a request's JSON body within the limit and checks it against a schema.
// The check is TypeBox's own: Elysia's ValidationError prints the whole body up to 64 times into its
// message, which a 32 MiB body would turn into seconds of work.

import type { Static, TSchema } from "@sinclair/typebox";
import { type TypeCheck, TypeCompiler } from "@sinclair/typebox/compiler";
import { type Clock, systemClock } from "../lib/clock.ts";
import { isRecord } from "../lib/is-record.ts";
import { AppError } from "../protocol/errors.ts";
import { checkBodyShape } from "./body-shape.ts";
import { describeMismatch } from "./mismatch.ts";

export class BodyReader<S extends TSchema> {
  readonly #check: TypeCheck<S>;
  readonly #arrayAs: string | null;
  readonly #opaque: ReadonlySet<string>;

  /**
   * `arrayAs`: the body is an array, which is checked and given as this field of an object. `opaque`: further fields
   * whose inside is the client's own.
   */
  constructor(schema: S, { arrayAs = null, opaque = [] }: { arrayAs?: string | null; opaque?: string[] } = {}) {
    this.#check = TypeCompiler.Compile(schema);
    this.#arrayAs = arrayAs;
    this.#opaque = new Set([...OPAQUE_FIELDS, ...opaque]);
  }

  /** Throws `payload_too_large`, `timeout` or `invalid_request`, the latter with the path of the field. */
  async read(request: Request, bytesMax: number, clock: Clock = systemClock): Promise<Static<S>> {
    const parsed = parseJson(await readBytes(request, bytesMax, clock), this.#arrayAs);
    checkBodyShape(parsed);
    const value = dropNulls(parsed, this.#opaque);
    if (this.#check.Check(value)) return value;
    const first = this.#check.Errors(value).First();
    if (first === undefined) throw new AppError({ code: "invalid_request", message: "the body is not valid" });
    throw new AppError({ code: "invalid_request", ...describeMismatch(first, value) });
  }
}

function parseJson(bytes: Uint8Array, arrayAs: string | null): Record<string, unknown> {
  const expected = arrayAs === null ? "object" : "array";
  if (bytes.byteLength === 0) throw invalidBody(`the body is empty; a JSON ${expected} is expected`, expected);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : thrown;
    throw invalidBody(`the body is not valid JSON in UTF-8: ${why}`, expected);
  }
  if (arrayAs !== null && Array.isArray(value)) return { [arrayAs]: value };
  if (arrayAs !== null || !isRecord(value)) throw invalidBody(`the body must be a JSON ${expected}`, expected);
  return value;
}

/** Fields whose inside is the client's own: a null in a JSON schema or a template variable means something. */
const OPAQUE_FIELDS = ["parameters", "schema", "chat_template_kwargs", "metadata", "logit_bias"];

/** The schemas are five levels deep; deeper nulls are left to the check. */
const NULL_DEPTH_MAX = 6;

/** Clients send null for "not set": the same as an absent field. Nulls that are items of an array stay. */
function dropNulls(value: Record<string, unknown>, opaque: ReadonlySet<string>, depth = 0): Record<string, unknown> {
  if (depth >= NULL_DEPTH_MAX) return value;
  const kept: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    if (field === null) continue;
    if (opaque.has(key)) kept[key] = field;
    else if (isRecord(field)) kept[key] = dropNulls(field, opaque, depth + 1);
    else if (Array.isArray(field) && isRecord(field[0])) {
      kept[key] = field.map((item: unknown) => (isRecord(item) ? dropNulls(item, opaque, depth + 1) : item));
    } else kept[key] = field;
  }
  return kept;
}

/** A client that uploads sends something at least this often. No other limit ends one that went silent half-way. */
const SILENCE_MS_MAX = 60_000;

/** Most bodies have arrived with their headers: a stream around each would cost more than all the rest of the reading. */
const SHORT_BYTES = 64 * 1024;

/** All of it. Throws `payload_too_large` and `timeout`. */
export async function readBytes(request: Request, bytesMax: number, clock: Clock): Promise<Uint8Array> {
  const length = Number(request.headers.get("Content-Length") ?? 0);
  if (length > bytesMax) throw tooLarge(bytesMax);
  if (length > 0 && length <= SHORT_BYTES) return await withinSilence(request.bytes(), clock);
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of readChunks(request, clock)) {
    total += chunk.byteLength;
    if (total > bytesMax) throw tooLarge(bytesMax);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The body as it arrives. Throws `timeout` when nothing comes for too long. */
export async function* readChunks(request: Request, clock: Clock): AsyncGenerator<Uint8Array, void> {
  if (request.body === null) return;
  const reader = request.body.getReader();
  let isWhole = false;
  try {
    for (;;) {
      const { done, value } = await withinSilence(reader.read(), clock);
      if (done) break;
      yield value;
    }
    isWhole = true;
  } finally {
    // Not awaited: the rest of the body is nobody's business any more, however it ends.
    if (!isWhole) void Promise.allSettled([reader.cancel()]);
  }
}

async function withinSilence<T>(step: Promise<T>, clock: Clock): Promise<T> {
  const silence = Promise.withResolvers<never>();
  const message = `the body broke off: nothing came for ${SILENCE_MS_MAX / 1000} s`;
  const end = () => silence.reject(new AppError({ code: "timeout", message, hint: "Send the body without a pause." }));
  const cancelTimer = clock.after(SILENCE_MS_MAX, end, true);
  try {
    return await Promise.race([step, silence.promise]);
  } finally {
    cancelTimer();
  }
}

function invalidBody(message: string, expected: string): AppError {
  return new AppError({ code: "invalid_request", message, hint: `Send a JSON ${expected}.` });
}

function tooLarge(bytesMax: number): AppError {
  return new AppError({ code: "payload_too_large", message: `the body is larger than ${bytesMax} bytes` });
}
