// GET /api/backend/info: versions, plug-ins, running engines, and what of them is lowered.

import type { Elysia } from "elysia";
import type { ApiContext } from "../options.ts";
import { describeRoute } from "../route-docs.ts";
import type { AdaptationReply } from "./adaptation-schema.ts";

export function addBackendRoute(app: Elysia, api: ApiContext): void {
  const answer = async () => {
    const adaptation: AdaptationReply = api.adaptation.describe();
    return Response.json({ ...(await api.inference.backendInfo()), adaptation });
  };
  app.get("/api/backend/info", answer, { detail: DOCS });
}

const DOCS = describeRoute({
  operationId: "getBackendInfo",
  tag: "System",
  summary: "Versions, plug-ins and engines",
  reply: { schema: "BackendReply", description: "The backend as it runs now." },
  errors: [],
});
