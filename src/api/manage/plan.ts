// POST /api/plan, POST /api/models/optimize, GET /api/models/recommend, GET /api/system/optimization: what models would take
// here, and how fast they would be. Loads nothing but what `apply` asks for.

import type { Elysia } from "elysia";
import { AppError } from "../../protocol/errors.ts";
import { describeChoices, explainRefusal } from "../../router/placement/apply.ts";
import type { PlanRequest as PlannerRequest, PlanReport } from "../../router/placement/planning.ts";
import { BodyReader } from "../body.ts";
import { startWithin } from "../generate.ts";
import { readQueryText } from "../list-pages.ts";
import type { ApiContext } from "../options.ts";
import { RequestScope } from "../request-scope.ts";
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
  app.post("/api/models/optimize", async ({ request }) => Response.json(await optimize(api, request)), {
    detail: OPTIMIZE_DOCS,
  });
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
      const reply: OptimizationReply = {
        ...encodeOptimization(await planner.optimization()),
        adaptation: api.adaptation.describe(),
      };
      return Response.json(reply);
    },
    { detail: OPTIMIZATION_DOCS },
  );
}

async function optimize(api: ApiContext, request: Request): Promise<OptimizeReply> {
  const {
    model,
    goal = "balanced",
    apply = false,
  } = await optimizeBodies.read(request, api.options.bodyBytesMax, api.clock);
  const { current, proposed } = await planAnew(api, { model, goal, asked: {} });
  const outcome = apply ? await applyPlan(api, request, proposed) : { applied: false, reason: null };
  const reply: OptimizeReply = {
    model: proposed.model,
    goal: proposed.goal,
    ...outcome,
    current: current.plan.verdict === "fits" ? encodePlaced(current.plan.placed) : null,
    proposed: encodePlan(proposed),
  };
  return reply;
}

/** The balanced plan beside that of the goal. */
async function planAnew(
  { planner }: ApiContext,
  request: PlannerRequest,
): Promise<{ current: PlanReport; proposed: PlanReport }> {
  // One after the other: both measure.
  const current = await planner.plan({ ...request, goal: "balanced" });
  return { current, proposed: await planner.plan(request) };
}

/** Loads the model with what the plan chose. Throws `plan_refused` where it does not fit beside what is loaded: nobody has to go for it. */
async function applyPlan(
  api: ApiContext,
  request: Request,
  report: PlanReport,
): Promise<Pick<OptimizeReply, "applied" | "reason">> {
  const { plan, model } = report;
  if (plan.verdict !== "fits") throw explainRefusal(plan, "nothing is changed");
  const scope = new RequestScope(request.signal, api.options.requestTimeoutMs, api.clock);
  const planned = describeChoices(plan.placed, report);
  const { info } = await startWithin(scope, () => api.inference.load(model, scope.signal, { planned }));
  scope.close();
  const steps = info?.steppedDown ?? [];
  if (steps.length === 0) return { applied: true, reason: null };
  return { applied: false, reason: `memory did not suffice, so it was loaded with less: ${steps.join(", ")}` };
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
