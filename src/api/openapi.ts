// The OpenAPI document, made from the routes themselves, so that none can be forgotten. Pure.
// 3.1, because its schemas are JSON schema, which TypeBox's are. (@elysiajs/swagger would leave out
// wildcard routes and claim form bodies, and its page comes from a CDN.)

import type { TSchema } from "@sinclair/typebox";
import {
  ChatChunk,
  ChatReply,
  CompletionReply,
  EmbeddingReply,
  ModelListReply,
  ModelReply,
} from "./openai/reply-schema.ts";
import { ChatRequest, CompletionRequest, EmbeddingRequest } from "./openai/schema.ts";
import { BackendReply, ErrorReply, HealthReply, RootReply } from "./system/schema.ts";
import { PROJECT_NAME, PROJECT_VERSION } from "./version.ts";

/** Every schema that a route's documentation may name. */
export const COMPONENTS: Record<string, TSchema> = {
  ChatRequest,
  ChatReply,
  ChatChunk,
  CompletionRequest,
  CompletionReply,
  EmbeddingRequest,
  EmbeddingReply,
  ModelReply,
  ModelListReply,
  RootReply,
  HealthReply,
  BackendReply,
  ErrorReply,
};

/** What we need of Elysia's route: `detail` is what `describeRoute` gave. */
export interface DocumentedRoute {
  method: string;
  path: string;
  detail: { parameters?: unknown; [key: string]: unknown } | undefined;
}

export function buildOpenApi(routes: DocumentedRoute[]): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = nameWildcard(route);
    const operations = paths[path] ?? {};
    operations[route.method.toLowerCase()] = route.detail ?? {};
    paths[path] = operations;
  }
  return {
    openapi: "3.1.0",
    info: {
      title: PROJECT_NAME,
      version: PROJECT_VERSION,
      description:
        "Serves local language models with OpenAI's API. Every response carries `X-Request-Id`; a client may send its own. " +
        "The examples run against the built-in demo model.",
    },
    servers: [{ url: "/" }],
    tags: [
      { name: "OpenAI", description: "OpenAI's routes." },
      { name: "System", description: "The server itself." },
      { name: "Documentation", description: "These pages." },
    ],
    paths,
    components: { schemas: COMPONENTS },
  };
}

/** OpenAPI has no wildcards: `/v1/models/*` is `/v1/models/{model}`, with the parameter's own name. */
function nameWildcard(route: DocumentedRoute): string {
  if (!route.path.endsWith("*")) return route.path;
  const parameters = route.detail?.parameters;
  const first: unknown = Array.isArray(parameters) ? parameters[0] : undefined;
  const named = typeof first === "object" && first !== null && "name" in first ? String(first.name) : "path";
  return `${route.path.slice(0, -1)}{${named}}`;
}
