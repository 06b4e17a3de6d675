// GET /api/tags, /api/ps and /api/version, POST /api/show: what there is, as Ollama says it.

import type { Elysia } from "elysia";
import { BodyReader } from "../body.ts";
import type { ApiContext } from "../options.ts";
import { describeOllamaRoute } from "./docs.ts";
import { encodeRunning, encodeShow, encodeTags } from "./encode-model.ts";
import { requireName, resolveTagged } from "./names.ts";
import type { OllamaVersionReply } from "./reply-schema.ts";
import { OllamaShowRequest } from "./schema.ts";

/**
 * The version of Ollama whose API this follows: clients compare it with the one that brought what they need, so our own
 * version would tell them something else.
 */
const API_VERSION: OllamaVersionReply = { version: "0.12.11" };

const bodies = new BodyReader(OllamaShowRequest);

export function addOllamaModelRoutes(app: Elysia, api: ApiContext): void {
  app.get("/api/tags", () => Response.json(encodeTags(api.inference.listModels())), { detail: TAGS_DOCS });
  app.get("/api/ps", () => Response.json(encodeRunning(api.inference.listModels(), api.clock.wallMs())), {
    detail: PS_DOCS,
  });
  app.get("/api/version", () => Response.json(API_VERSION), { detail: VERSION_DOCS });
  app.post(
    "/api/show",
    async ({ request }) => {
      const name = requireName(await bodies.read(request, api.options.bodyBytesMax, api.clock));
      return Response.json(encodeShow(resolveTagged(api, name)));
    },
    { detail: SHOW_DOCS },
  );
}

const TAGS_DOCS = describeOllamaRoute({
  operationId: "ollamaTags",
  summary: "List the models",
  description: "Every model under its id and under the names of `--alias` and /api/copy, each with a tag.",
  reply: { schema: "OllamaTagsReply", description: "The models that can be asked for." },
  errors: [],
});

const PS_DOCS = describeOllamaRoute({
  operationId: "ollamaPs",
  summary: "List the loaded models",
  reply: { schema: "OllamaPsReply", description: "The models whose engines run." },
  errors: [],
});

const VERSION_DOCS = describeOllamaRoute({
  operationId: "ollamaVersion",
  summary: "Version of Ollama's API",
  reply: { schema: "OllamaVersionReply", description: "Not the version of this server: GET / has that." },
  errors: [],
});

const SHOW_DOCS = describeOllamaRoute({
  operationId: "ollamaShow",
  summary: "Show one model",
  body: { schema: "OllamaShowRequest", examples: { demo: { model: "demo" } } },
  reply: { schema: "OllamaShowReply", description: "What is known of it." },
  errors: ["invalid_request", "model_not_found", "payload_too_large", "timeout"],
});
