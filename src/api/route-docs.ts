// A route's documentation as it stands beside the route → an OpenAPI operation. Pure.
// Every operation gets a request schema, examples, the reply's schema and each error it can answer with.

import type { DocumentDecoration } from "elysia";
import { ERROR_KINDS, type ErrorBody, type ErrorCode } from "../protocol/errors.ts";
import { encodeErrorEnvelope } from "./errors.ts";

interface PathParameter {
  name: string;
  description: string;
  example: string;
}

export interface RouteDocs {
  operationId: string;
  tag: "OpenAI" | "Anthropic" | "Ollama" | "llama.cpp" | "System" | "Documentation";
  summary: string;
  description?: string;
  /** For a route that ends in `*`: the name of what stands there. */
  pathParameter?: PathParameter;
  /** For a route with `:name` in it: each of those. */
  pathParameters?: readonly PathParameter[];
  query?: readonly { name: string; description: string; schema: object }[];
  /** Request headers of ours, and others that matter. */
  headers?: readonly { name: string; description: string; schema: object }[];
  body?: {
    schema: string;
    examples: Record<string, object>;
    /** What else is taken, besides JSON: media type → what it holds. */
    others?: Record<string, object>;
  };
  reply: {
    description: string;
    /** Absent: 200. */
    status?: number;
    /** A component's name, or several where the answer hangs on the request; absent for what is not JSON. */
    schema?: string | readonly string[];
    /** A component's name, or several: one `data:` line of the streamed answer. That of an error is among them. */
    streamSchema?: string | readonly string[];
    /** Absent: server-sent events. */
    streamType?: string;
    /** Of server-sent events: what the last one holds in place of JSON. */
    streamEnd?: string;
    /** Absent: JSON. Several: any of them. Null: the answer is empty, or a stream. */
    mediaType?: string | readonly string[] | null;
    /** A second status with the same schema. */
    alsoStatus?: { status: number; description: string };
    /** Response headers of ours: name → what it says. */
    headers?: Record<string, string>;
  };
  errors: ErrorCode[];
  /** Absent: as OpenAI's. */
  errorFormat?: ErrorFormat;
}

/** A dialect's error envelope. */
export interface ErrorFormat {
  /** A component's name. */
  schema: string;
  encode(error: ErrorBody): object;
}

const OPENAI_ERRORS: ErrorFormat = { schema: "ErrorReply", encode: encodeErrorEnvelope };

/** What a route that asks a model can answer with. */
export const INFERENCE_ERRORS: ErrorCode[] = [
  "invalid_request",
  "not_supported",
  "context_length_exceeded",
  "model_not_found",
  "payload_too_large",
  "model_damaged",
  "format_unsupported",
  "model_loading",
  "out_of_memory",
  "plan_refused",
  "engine_crashed",
  "request_crashes_engine",
  "overloaded",
  "timeout",
  "cancelled",
];

/** Any route can be refused by the Host and Origin checks, or meet a bug. */
const COMMON_ERRORS: ErrorCode[] = ["forbidden", "internal"];

export function describeRoute(docs: RouteDocs): DocumentDecoration {
  const parameters = [
    ...[docs.pathParameter ?? [], docs.pathParameters ?? []].flat().map(describePathParameter),
    ...(docs.query ?? []).map((parameter) => ({ ...parameter, in: "query", required: false })),
    ...(docs.headers ?? []).map((header) => ({ ...header, in: "header", required: false })),
  ];
  const operation = {
    operationId: docs.operationId,
    tags: [docs.tag],
    summary: docs.summary,
    ...(docs.description === undefined ? {} : { description: docs.description }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(docs.body === undefined ? {} : { requestBody: describeBody(docs.body) }),
    responses: {
      ...describeReply(docs.reply),
      ...describeErrors([...docs.errors, ...COMMON_ERRORS], docs.errorFormat ?? OPENAI_ERRORS),
    },
  };
  // Elysia's type is OpenAPI 3.0's; ours is the same but for JSON schema's newer words.
  return operation as DocumentDecoration;
}

function describePathParameter(parameter: PathParameter): object {
  const { name, description, example } = parameter;
  return { name, in: "path", required: true, description, example, schema: { type: "string" } };
}

function describeBody(body: NonNullable<RouteDocs["body"]>): object {
  const examples = Object.entries(body.examples).map(([name, value]) => [name, { value }]);
  const json = { schema: refer(body.schema), examples: Object.fromEntries(examples) };
  const others = Object.entries(body.others ?? {}).map(([type, schema]) => [type, { schema }]);
  return { required: true, content: { "application/json": json, ...Object.fromEntries(others) } };
}

function describeReply(reply: RouteDocs["reply"]): Record<string, object> {
  const content: Record<string, object> = {};
  const mediaTypes = reply.mediaType === undefined ? "application/json" : (reply.mediaType ?? []);
  for (const mediaType of [mediaTypes].flat()) {
    const free = mediaType === "application/json" ? { type: "object" } : { type: "string" };
    content[mediaType] = { schema: reply.schema === undefined ? free : refer(reply.schema) };
  }
  if (reply.streamSchema !== undefined) {
    const frame = refer(reply.streamSchema);
    if (reply.streamType === undefined)
      content["text/event-stream"] = { schema: describeEvent(frame, reply.streamEnd) };
    else content[reply.streamType] = { schema: frame };
  }
  const named = Object.entries(reply.headers ?? {}).map(([name, description]) => [
    name,
    { description, schema: { type: "string" } },
  ]);
  const headers = named.length === 0 ? {} : { headers: Object.fromEntries(named) };
  const bodies = Object.keys(content).length === 0 ? {} : { content };
  const status = reply.status ?? 200;
  const responses: Record<string, object> = { [status]: { description: reply.description, ...headers, ...bodies } };
  if (reply.alsoStatus !== undefined) {
    responses[reply.alsoStatus.status] = { description: reply.alsoStatus.description, content };
  }
  return responses;
}

/** The fields of each server-sent event, as later versions of OpenAPI describe them. */
function describeEvent(frame: object, end: string | undefined): object {
  const json = { contentMediaType: "application/json", contentSchema: frame };
  const data = { type: "string", ...(end === undefined ? json : { anyOf: [{ const: end }, json] }) };
  return {
    type: "object",
    description: "One event of the stream.",
    properties: { id: { type: "string" }, event: { type: "string" }, data },
    required: ["data"],
  };
}

/** Codes that share a status share a response, with one example each. */
function describeErrors(codes: ErrorCode[], format: ErrorFormat): Record<string, object> {
  const responses: Record<string, object> = {};
  for (const status of new Set(codes.map((code) => ERROR_KINDS[code].status))) {
    const own = codes.filter((code) => ERROR_KINDS[code].status === status);
    const examples = own.map((code) => [code, { value: format.encode({ code, message: "What went wrong." }) }]);
    responses[status] = {
      description: own.map((code) => `\`${code}\`: ${ERROR_KINDS[code].hint}`).join(" "),
      content: { "application/json": { schema: refer(format.schema), examples: Object.fromEntries(examples) } },
    };
  }
  return responses;
}

function refer(component: string | readonly string[]): object {
  if (typeof component !== "string") return { anyOf: component.map(refer) };
  return { $ref: `#/components/schemas/${component}` };
}
