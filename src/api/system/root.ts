// GET /: what this is and where to go on.

import type { Elysia } from "elysia";
import { describeRoute } from "../route-docs.ts";
import { PROJECT_NAME, PROJECT_VERSION } from "../version.ts";
import type { RootReply } from "./schema.ts";

const ROOT: RootReply = {
  name: PROJECT_NAME,
  version: PROJECT_VERSION,
  description: "Serves local language models with OpenAI's, Anthropic's and Ollama's APIs.",
  links: {
    documentation: "/swagger",
    openapi: "/swagger/json",
    models: "/v1/models",
    chat: "/v1/chat/completions",
    completions: "/v1/completions",
    messages: "/v1/messages",
    countTokens: "/v1/messages/count_tokens",
    responses: "/v1/responses",
    conversations: "/v1/conversations",
    infill: "/infill",
    embeddings: "/v1/embeddings",
    ollama: "/api/tags",
    hub: "/api/hub/search",
    rerank: "/v1/rerank",
    adapters: "/lora-adapters",
    health: "/api/health",
    backend: "/api/backend/info",
    cache: "/api/cache",
    status: "/status",
    vram: "/vram",
    hardware: "/api/hardware",
    system: "/api/system/info",
  },
};

export function addRootRoute(app: Elysia): void {
  app.get("/", () => Response.json(ROOT), { detail: DOCS });
}

const DOCS = describeRoute({
  operationId: "getRoot",
  tag: "System",
  summary: "Name, version and links",
  reply: { schema: "RootReply", description: "Where to start." },
  errors: [],
});
