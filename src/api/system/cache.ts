// GET /api/cache: what engines keep of prompts, in memory and on disk.

import type { Elysia } from "elysia";
import type { ApiContext } from "../options.ts";
import { describeRoute } from "../route-docs.ts";
import type { CacheListReply } from "./schema.ts";

export function addCacheRoute(app: Elysia, api: ApiContext): void {
  app.get(
    "/api/cache",
    async () => {
      const list: CacheListReply = await api.inference.cache();
      return Response.json(list);
    },
    { detail: DOCS },
  );
}

const DOCS = describeRoute({
  operationId: "getCache",
  tag: "System",
  summary: "Kept prompts",
  description:
    "The prefixes that a later prompt can start from, of all engines that run, with any set of adapters. " +
    "`durableTokens` of one are on disk too: those outlive a restart, a crash and a sleep. Of a model that sleeps it is what " +
    "was on disk when it fell asleep; of one that was not asked for since the start nothing is known.",
  reply: { schema: "CacheListReply", description: "Entries, and sums by model." },
  errors: [],
});
