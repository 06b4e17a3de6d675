// Ollama's routes together: one call in app.ts adds them all.

import type { Elysia } from "elysia";
import type { ApiContext } from "../options.ts";
import { addOllamaChatRoute } from "./chat.ts";
import { addOllamaCopyRoutes } from "./copies.ts";
import { addOllamaEmbedRoutes } from "./embed.ts";
import { addOllamaGenerateRoute } from "./generate.ts";
import { addOllamaModelRoutes } from "./models.ts";
import { addOllamaPullRoute } from "./pull.ts";

export function addOllamaRoutes(app: Elysia, api: ApiContext): void {
  addOllamaChatRoute(app, api);
  addOllamaGenerateRoute(app, api);
  addOllamaEmbedRoutes(app, api);
  addOllamaModelRoutes(app, api);
  addOllamaCopyRoutes(app, api);
  addOllamaPullRoute(app, api);
}
