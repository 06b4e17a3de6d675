// GET /api/backend/info: versions, plug-ins and running engines.

import type { Elysia } from "elysia";
import type { ApiContext } from "../options.ts";
import { describeRoute } from "../route-docs.ts";

export function addBackendRoute(app: Elysia, api: ApiContext): void {
  app.get("/api/backend/info", async () => Response.json(await api.inference.backendInfo()), { detail: DOCS });
}

const DOCS = describeRoute({
  operationId: "getBackendInfo",
  tag: "System",
  summary: "Versions, plug-ins and engines",
  reply: { schema: "BackendReply", description: "The backend as it runs now." },
  errors: [],
});
