// Does an answer keep what our own OpenAPI document says of its route? Status, content type, body, and each frame of a
// stream. Stricter than the document: a field that it does not name is a fault, else nobody would ever describe it.
// Knows neither the app nor a server: whoever has a request and its answer may ask.

import { AssertionError } from "node:assert";
import Ajv2020, { type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { checkFrames } from "./frame-check.ts";

interface Media {
  schema: object;
}
interface EventData {
  contentSchema?: object;
  anyOf?: EventData[];
}
interface Operation {
  responses: Record<string, { content?: Record<string, Media> }>;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
}

export type CheckValue = (value: unknown) => void;

/** What is sent where no operation is: by path and method nothing is documented but the envelopes. */
const OUTSIDE_STATUSES: readonly number[] = [403, 404, 405, 500, 501];

const STREAM_TYPES: readonly string[] = ["text/event-stream", "application/x-ndjson"];

const ERROR_SCHEMAS = ["ErrorReply", "AnthropicErrorReply", "OllamaErrorReply"];

export class DocumentJudge {
  readonly #paths: { patterns: RegExp[]; item: Record<string, Operation> }[];
  readonly #schemas: Record<string, object>;
  readonly #ajv = new Ajv2020({ strict: false, logger: false });
  /** By the schema's text: to compile one takes longer than the rest of a test. */
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor(served: object) {
    const document = closeObjects(served) as Document;
    addFormats.default(this.#ajv);
    this.#schemas = document.components.schemas;
    const paths = Object.entries(document.paths).sort(([a], [b]) => Number(a.includes("{")) - Number(b.includes("{")));
    // A parameter is one segment; only where nothing fits it is the rest of the path, as a model's id may be.
    this.#paths = paths.map(([path, item]) => ({ patterns: [toPattern(path, "[^/]+"), toPattern(path, ".+")], item }));
  }

  /** The same answer, once it is checked; a stream is checked while it is read, and breaks off at a fault. */
  async check(request: { method: string; url: string; headers: Headers }, response: Response): Promise<Response> {
    // A preflight asks about a route and is no operation of it.
    if (request.method === "OPTIONS") return response;
    const { pathname } = new URL(request.url, "http://localhost");
    const at = `${request.method} ${pathname} → ${response.status}`;
    const operation = this.#find(request.method, pathname);
    const type = response.headers.get("Content-Type")?.split(";")[0] ?? "";
    const media =
      operation === null ? this.#readOutside(at, response) : readMedia(at, operation, response.status, type);
    // What a HEAD is answered with beside its headers stays in the server.
    if (request.method === "HEAD") return response;
    if (media === null) return await withoutBody(at, response);
    const schema = readFrameSchema(this.#chooseSchema(request.headers, response.status, media), type);
    const check = this.#makeCheck(at, schema);
    if (STREAM_TYPES.includes(type) && response.body !== null) {
      return new Response(checkFrames(response.body, type, check), response);
    }
    if (type !== "application/json") return response;
    const text = await response.text();
    check(JSON.parse(text));
    return new Response(text, response);
  }

  #find(method: string, pathname: string): Operation | null {
    const path = pathname.length > 1 ? pathname.replace(/\/$/, "") : pathname;
    for (const width of [0, 1]) {
      const fitting = this.#paths.filter(({ patterns }) => patterns[width]?.test(path));
      if (fitting.length === 0) continue;
      const operations = fitting.map(({ item }) => item[method === "HEAD" ? "get" : method.toLowerCase()]);
      return operations.find((operation) => operation !== undefined) ?? null;
    }
    return null;
  }

  #readOutside(at: string, response: Response): Media {
    if (!OUTSIDE_STATUSES.includes(response.status)) fail(at, "it is no operation of the document");
    return { schema: { anyOf: ERROR_SCHEMAS.map((name) => this.#schemas[name] ?? {}) } };
  }

  /** With `anthropic-version` every route's errors are Anthropic's, as the document's description says. */
  #chooseSchema(headers: Headers, status: number, media: Media): object {
    if (status < 400 || !headers.has("anthropic-version")) return media.schema;
    return { anyOf: [media.schema, this.#schemas.AnthropicErrorReply ?? {}] };
  }

  #makeCheck(at: string, schema: object): CheckValue {
    const validate = this.#compile(schema);
    return (value) => {
      if (validate(value)) return;
      const faults = validate.errors?.map(({ instancePath, message, params }) => {
        return `${instancePath || "body"} ${message} ${JSON.stringify(params)}`;
      });
      fail(at, `${faults?.join("; ")}\n${JSON.stringify(value)?.slice(0, 2000)}`);
    };
  }

  #compile(schema: object): ValidateFunction {
    const key = JSON.stringify(schema);
    let validate = this.#compiled.get(key);
    if (validate === undefined) {
      // References are `#/components/schemas/…`: so each schema carries them with it.
      validate = this.#ajv.compile({ ...schema, components: { schemas: this.#schemas } });
      this.#compiled.set(key, validate);
    }
    return validate;
  }
}

function readMedia(at: string, operation: Operation, status: number, type: string): Media | null {
  const documented = operation.responses[status];
  if (documented === undefined)
    fail(at, `the status is not documented: ${Object.keys(operation.responses).join(", ")}`);
  if (documented.content === undefined) return null;
  const media = documented.content[type];
  if (media === undefined) {
    fail(at, `the content type ${type} is not documented: ${Object.keys(documented.content).join(", ")}`);
  }
  return media;
}

/** Of server-sent events: what their `data` holds, `[DONE]` in place of it where that is documented. */
function readFrameSchema(schema: object, type: string): object {
  if (type !== "text/event-stream") return schema;
  const data: EventData | undefined = (schema as { properties?: { data?: EventData } }).properties?.data;
  const kinds = data?.anyOf ?? (data === undefined ? [] : [data]);
  return { anyOf: kinds.map((kind) => kind.contentSchema ?? kind) };
}

async function withoutBody(at: string, response: Response): Promise<Response> {
  const text = await response.text();
  if (text !== "") fail(at, "a body came, where none is documented");
  return new Response(null, response);
}

/** `/v1/models/{model}` → what it fits, where this stands for a parameter. */
function toPattern(path: string, parameter: string): RegExp {
  const parts = path.split(/\{\w+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(parameter)}$`);
}

/** A copy in which objects with named properties have no others. */
function closeObjects(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closeObjects);
  if (typeof value !== "object" || value === null) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, field]) => [key, closeObjects(field)]));
  const names = typeof copy.properties === "object" && copy.properties !== null ? Object.keys(copy.properties) : [];
  if (copy.type === "object" && names.length > 0) copy.additionalProperties ??= false;
  return copy;
}

function fail(at: string, message: string): never {
  throw new AssertionError({ message: `the OpenAPI document does not allow this answer: ${at}: ${message}` });
}
