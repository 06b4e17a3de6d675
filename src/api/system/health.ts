// GET /health and GET /api/health: whether requests can be served. 503 only when they can't be at all.

import type { Elysia } from "elysia";
import type { ApiContext } from "../options.ts";
import { describeRoute } from "../route-docs.ts";
import { MACHINE_AGE_MS_MAX } from "./hardware.ts";
import type { HealthReply } from "./schema.ts";

export function addHealthRoutes(app: Elysia, api: ApiContext): void {
  const answer = async () => {
    // What the router says of devices is what was read last.
    await api.machine.read(MACHINE_AGE_MS_MAX);
    const health: HealthReply = api.inference.health();
    return Response.json(health, { status: health.status === "unhealthy" ? 503 : 200 });
  };
  app.get("/health", answer, { detail: describeHealth("getHealth") });
  app.get("/api/health", answer, { detail: describeHealth("getApiHealth") });
}

function describeHealth(operationId: string) {
  return describeRoute({
    operationId,
    tag: "System",
    summary: "Can requests be served?",
    reply: {
      schema: "HealthReply",
      description:
        "`healthy`, or `degraded` with the reason in `details`: an engine that died, a GPU that is here and not used, and what " +
        "to do about it.",
      alsoStatus: { status: 503, description: "`unhealthy`: nothing can be served." },
    },
    errors: [],
  });
}
