// The OpenAPI document, made from the routes themselves by @elysiajs/swagger, so that none can be forgotten.
// The plug-in lives in an app of its own that is never listened to: its page would come from a CDN, and in the real
// app it would leave wildcard routes out. 3.1, because its schemas are JSON schema, which TypeBox's are.

import swagger from "@elysiajs/swagger";
import type { TSchema } from "@sinclair/typebox";
import { type DocumentDecoration, Elysia } from "elysia";
import {
  AnthropicErrorReply,
  AnthropicModelListReply,
  AnthropicModelReply,
  CountTokensReply,
  MessageEvent,
  MessageReply,
} from "./anthropic/reply-schema.ts";
import { CountTokensRequest, MessageRequest } from "./anthropic/schema.ts";
import { documentSchema } from "./document-schema.ts";
import { ServerEventReply } from "./events/schema.ts";
import { HubSearchReply } from "./hub/schema.ts";
import { InfillReply, InfillRequest, RerankReply, RerankRequest } from "./llama/schema.ts";
import {
  ApplyTemplateReply,
  DetokenizeReply,
  DetokenizeRequest,
  TokenizeReply,
  TokenizeRequest,
} from "./llama/text-schema.ts";
import { ConversionListReply, ConversionReply, ConvertRequest } from "./manage/convert-schema.ts";
import { LIBRARY_COMPONENTS } from "./manage/library-schema.ts";
import { LOADING_COMPONENTS } from "./manage/loading-schema.ts";
import { PLAN_COMPONENTS } from "./manage/plan-schema.ts";
import { InspectReply, InspectRequest, ModelContentsReply } from "./manage/schema.ts";
import { OLLAMA_COMPONENTS } from "./ollama/components.ts";
import {
  ChatChunk,
  ChatReply,
  CompletionReply,
  EmbeddingReply,
  ModelListReply,
  ModelReply,
} from "./openai/reply-schema.ts";
import { ChatRequest, CompletionRequest, EmbeddingRequest } from "./openai/schema.ts";
import { RESPONSE_COMPONENTS } from "./responses/components.ts";
import { StreamDeletedReply } from "./streams/schema.ts";
import { HARDWARE_COMPONENTS } from "./system/hardware-schema.ts";
import { LoraAdapterListReply, LoraScalesReply, LoraScalesRequest } from "./system/lora.ts";
import { BackendReply, CacheListReply, ErrorReply, HealthReply, RootReply } from "./system/schema.ts";
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
  MessageRequest,
  MessageReply,
  MessageEvent,
  CountTokensRequest,
  CountTokensReply,
  AnthropicModelReply,
  AnthropicModelListReply,
  AnthropicErrorReply,
  ...RESPONSE_COMPONENTS,
  InfillRequest,
  InfillReply,
  RerankRequest,
  RerankReply,
  TokenizeRequest,
  TokenizeReply,
  DetokenizeRequest,
  DetokenizeReply,
  ApplyTemplateReply,
  ModelReply,
  ModelListReply,
  ...OLLAMA_COMPONENTS,
  RootReply,
  HealthReply,
  BackendReply,
  HubSearchReply,
  CacheListReply,
  ...HARDWARE_COMPONENTS,
  InspectRequest,
  InspectReply,
  ModelContentsReply,
  ConvertRequest,
  ConversionReply,
  ConversionListReply,
  ServerEventReply,
  ...LIBRARY_COMPONENTS,
  ...LOADING_COMPONENTS,
  ...PLAN_COMPONENTS,
  LoraAdapterListReply,
  LoraScalesRequest,
  LoraScalesReply,
  StreamDeletedReply,
  ErrorReply,
};

const DOCUMENTATION = {
  openapi: "3.1.0",
  info: {
    title: PROJECT_NAME,
    version: PROJECT_VERSION,
    description:
      "Serves local language models with OpenAI's, Anthropic's and Ollama's APIs. Every response carries `X-Request-Id`; a client may send its own. With `anthropic-version` errors have Anthropic's envelope on all routes but Ollama's. " +
      "The examples run against the built-in demo model, but those for rerankers, for models that fill in text, and for conversions.",
  },
  servers: [{ url: "/" }],
  tags: [
    { name: "OpenAI", description: "OpenAI's routes." },
    { name: "Anthropic", description: "Anthropic's routes." },
    { name: "Ollama", description: "Ollama's routes, for programs that know only those." },
    { name: "llama.cpp", description: "Routes that llama.cpp's server has beside OpenAI's." },
    { name: "System", description: "The server itself." },
    { name: "Documentation", description: "These pages." },
  ],
  // The plug-in's type is OpenAPI 3.0's.
  components: { schemas: documentComponents() as never },
};

function documentComponents(): Record<string, object> {
  const components = Object.entries(COMPONENTS);
  return Object.fromEntries(
    components.map(([name, schema]) => [name, documentSchema(schema, name.endsWith("Request"))]),
  );
}

/** What we need of Elysia's route: `detail` is what `describeRoute` gave. */
export interface DocumentedRoute {
  method: string;
  path: string;
  detail: (DocumentDecoration & { parameters?: unknown }) | undefined;
}

/** The document of these routes. */
export async function buildOpenApi(routes: DocumentedRoute[]): Promise<object> {
  const described = new Elysia().use(
    swagger({ path: "/page", documentation: DOCUMENTATION, excludeStaticFile: false }),
  );
  for (const route of routes) {
    described.route(route.method, nameWildcard(route), () => null, { detail: route.detail ?? {} });
  }
  const response = await described.handle(new Request("http://localhost/page/json"));
  return (await response.json()) as object;
}

/** OpenAPI has no wildcards: `/v1/models/*` is described as `/v1/models/:model`, with the parameter's own name. */
function nameWildcard(route: DocumentedRoute): string {
  if (!route.path.endsWith("*")) return route.path;
  const parameters = route.detail?.parameters;
  const first: unknown = Array.isArray(parameters) ? parameters[0] : undefined;
  const named = typeof first === "object" && first !== null && "name" in first ? String(first.name) : "path";
  return `${route.path.slice(0, -1)}:${named}`;
}
