// What the OpenAPI document says of the routes that plan.

import { describeRoute } from "../route-docs.ts";
import { LOAD_ERRORS } from "./loading.ts";

/** Names of models are shorter. */
export const WORDS_CHARS_MAX = 200;

export const PLAN_DOCS = describeRoute({
  operationId: "planModel",
  tag: "System",
  summary: "Tell what a model would take here",
  description:
    "Before it is loaded: whether it fits, with which settings, its memory by place and purpose, and how fast it would be. What " +
    "is asked for is kept; where it does not fit, `options` are changes with which it does, each with its cost, and a refusal " +
    "names the smallest change. A file that llama.cpp refuses is refused here as its load would be. Nothing is loaded. `docs/planner.md` tells how it decides.",
  body: { schema: "PlanRequest", examples: { model: { model: "demo" }, context: { model: "demo", ctx: 256 } } },
  reply: { schema: "PlanReply", description: "The plan." },
  errors: [
    "invalid_request",
    "model_not_found",
    "model_damaged",
    "format_unsupported",
    "not_supported",
    "payload_too_large",
    "timeout",
  ],
});

export const OPTIMIZE_DOCS = describeRoute({
  operationId: "optimizeModel",
  tag: "System",
  summary: "Plan a model anew for latency, throughput or memory",
  description:
    "The plan for that goal beside the usual one. With `apply` the model is loaded with it, and an engine with other settings goes " +
    "when its requests have ended; the settings hold until the model is unloaded or loaded with others. A plan that does not fit " +
    "beside the models that are loaded is not applied: `plan_refused`, and nothing is changed.",
  body: {
    schema: "OptimizeRequest",
    examples: {
      applied: { model: "demo", goal: "memory", apply: true },
      latency: { model: "demo", goal: "latency" },
    },
  },
  reply: { schema: "OptimizeReply", description: "Both plans." },
  errors: LOAD_ERRORS,
});

export const RECOMMEND_DOCS = describeRoute({
  operationId: "recommendModels",
  tag: "System",
  summary: "Tell which models suit this machine",
  description:
    "Models on the disk, best first, with predicted speed and the reason; models of the Hub that fit, where `q` is given; and " +
    "which change of the hardware would help most.",
  query: [
    {
      name: "q",
      description: "Words to search the Hub for; absent: it is not asked.",
      schema: { type: "string", maxLength: WORDS_CHARS_MAX },
    },
  ],
  reply: { schema: "RecommendReply", description: "What suits." },
  errors: ["invalid_request", "unauthorized", "rate_limited", "download_failed"],
});

export const OPTIMIZATION_DOCS = describeRoute({
  operationId: "getOptimization",
  tag: "System",
  summary: "Show the policy on memory and what is lowered now",
  description:
    "How much models may take and why, what a plan chooses by itself, what loads had to be lowered, and in `adaptation` what is " +
    "lowered of running engines while the machine is short of something.",
  reply: { schema: "OptimizationReply", description: "Policy and state." },
  errors: [],
});
