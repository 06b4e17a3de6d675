// POST /api/plan, POST /api/models/optimize, GET /api/models/recommend, GET /api/system/optimization: what models would take
// here, and how fast they would be. Loads nothing.

import type { Elysia } from "elysia";
import { AppError } from "../../protocol/errors.ts";
import type { PlanRequest as PlannerRequest } from "../../router/planning.ts";
import { BodyReader } from "../body.ts";
import { readQueryText } from "../list-pages.ts";
import type { ApiContext } from "../options.ts";
import { decodeAsked, encodeOptimization, encodePlaced, encodePlan, encodeRecommendation } from "./encode-plan.ts";
import { OPTIMIZATION_DOCS, OPTIMIZE_DOCS, PLAN_DOCS, RECOMMEND_DOCS, WORDS_CHARS_MAX } from "./plan-docs.ts";
import {
  type OptimizationReply,
  type OptimizeReply,
  OptimizeRequest,
  type PlanReply,
  PlanRequest,
  type RecommendReply,
} from "./plan-schema.ts";

const planBodies = new BodyReader(PlanRequest);
const optimizeBodies = new BodyReader(OptimizeRequest);
/** Each is one request to the Hub. */
const HUB_MODELS = 10;

export function addPlanRoutes(app: Elysia, api: ApiContext): void {
  const { planner, options, clock } = api;
  app.post(
    "/api/plan",
    async ({ request }) => {
      const asked = await planBodies.read(request, options.bodyBytesMax, clock);
      const { model, goal = "balanced" } = asked;
      const reply: PlanReply = encodePlan(await planner.plan({ model, goal, asked: decodeAsked(asked) }));
      return Response.json(reply);
    },
    { detail: PLAN_DOCS },
  );
  app.post(
    "/api/models/optimize",
    async ({ request }) => {
      const { model, goal = "balanced" } = await optimizeBodies.read(request, options.bodyBytesMax, clock);
      return Response.json(await optimize(api, { model, goal, asked: {} }));
    },
    { detail: OPTIMIZE_DOCS },
  );
  app.get(
    "/api/models/recommend",
    async ({ request }) => {
      const words = readQueryText(new URL(request.url).searchParams, "q")?.trim() ?? "";
      if (words.length > WORDS_CHARS_MAX) {
        const message = `the query's \`q\` must be at most ${WORDS_CHARS_MAX} characters`;
        throw new AppError({ code: "invalid_request", message, param: "q" });
      }
      const reply: RecommendReply = {
        ...encodeRecommendation(await planner.recommend()),
        hub: words === "" ? [] : await searchHub(api, words, request.signal),
      };
      return Response.json(reply);
    },
    { detail: RECOMMEND_DOCS },
  );
  app.get(
    "/api/system/optimization",
    async () => {
      const reply: OptimizationReply = encodeOptimization(await planner.optimization());
      return Response.json(reply);
    },
    { detail: OPTIMIZATION_DOCS },
  );
}

/** The balanced plan beside that of the goal. */
async function optimize({ planner }: ApiContext, request: PlannerRequest): Promise<OptimizeReply> {
  const [now, proposed] = [await planner.plan({ ...request, goal: "balanced" }), await planner.plan(request)];
  return {
    model: proposed.model,
    goal: proposed.goal,
    applied: false,
    current: now.plan.verdict === "fits" ? encodePlaced(now.plan.placed) : null,
    proposed: encodePlan(proposed),
  };
}

async function searchHub(
  { hub, planner }: ApiContext,
  words: string,
  signal: AbortSignal,
): Promise<RecommendReply["hub"]> {
  const found = await hub.search({ words, task: null, fits: true, limit: HUB_MODELS, signal });
  const models: RecommendReply["hub"] = [];
  for (const { repo, downloads, choice, variants } of found) {
    const variant = variants.find(({ tag }) => tag === choice);
    if (variant === undefined) continue;
    const { sizeBytes, tag } = variant;
    const tokensPerSecond = await planner.predictFile(sizeBytes);
    models.push({ model: `${repo}:${tag}`, sizeBytes, downloads, tokensPerSecond, source: "size" });
  }
  return models;
}
