// The shapes of the routes that plan: the only source of their types and documentation.

import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { KV_TYPES } from "../../protocol/memory-need.ts";
import { OPTION_KINDS, PLAN_GOALS } from "../../router/placement/plan.ts";
import { AdaptationReply } from "../system/adaptation-schema.ts";

const orNull = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);
const oneOf = <const T extends readonly string[]>(words: T, description?: string) =>
  Type.Union(
    words.map((word) => Type.Literal(word as T[number])),
    description === undefined ? {} : { description },
  );
const count = (maximum: number, description: string, minimum = 1) =>
  Type.Optional(Type.Integer({ minimum, maximum, description }));
const INT32_MAX = 2 ** 31 - 1;

const goal = Type.Optional(
  oneOf(
    PLAN_GOALS,
    "What settings are chosen for: one answer fast, many at once, or little memory. Default: balanced.",
  ),
);

/** What is asked for is kept, or the plan says what would have to change. */
export const PlanRequest = Type.Object({
  model: Type.Optional(Type.String({ maxLength: 1024, description: "Id or alias; absent: the default model." })),
  goal,
  ctx: count(INT32_MAX, "KV tokens of the engine."),
  parallel: count(255, "Sequences that decode at once."),
  retained: count(250, "Ended sequences whose state stays in memory.", 0),
  batchSize: count(65_536, "Most tokens of one decoding step."),
  ubatchSize: count(65_536, "Most tokens computed at once within a step."),
  threads: count(512, "CPU threads."),
  kvType: Type.Optional(oneOf(KV_TYPES, "Of keys and values.")),
  gpuLayers: count(INT32_MAX, "Layers on devices; -1 is all of them.", -1),
  deviceShares: Type.Optional(
    Type.Array(Type.Number({ minimum: 0 }), {
      minItems: 1,
      maxItems: 16,
      description: "How devices share the layers.",
    }),
  ),
  hostExpertLayers: count(512, "First layers whose experts stay in main memory.", 0),
  checkpointBytes: count(Number.MAX_SAFE_INTEGER, "Most memory of recurrent states at places of prompts.", 0),
});
export type PlanRequest = Static<typeof PlanRequest>;

export const OptimizeRequest = Type.Object({
  model: Type.Optional(Type.String({ maxLength: 1024, description: "Id or alias; absent: the default model." })),
  goal,
  apply: Type.Optional(
    Type.Boolean({ description: "Load the model with that plan, if it fits. Default: false, the plan alone." }),
  ),
});
export type OptimizeRequest = Static<typeof OptimizeRequest>;

const bytes = (description?: string) => Type.Integer(description === undefined ? {} : { description });
const Parts = Type.Object({
  weightsBytes: bytes("In memory of the process's own: on a device, or converted for the processor."),
  mappedBytes: bytes("Mapped from the file: the system may drop and read them again."),
  kvBytes: bytes(),
  computeBytes: bytes(),
  overheadBytes: bytes("Output rows, vocabulary, samplers, the runtime itself."),
});

const PlannedSettings = Type.Object({
  ctx: Type.Integer(),
  parallel: Type.Integer(),
  retained: Type.Integer(),
  batchSize: Type.Integer(),
  ubatchSize: Type.Integer(),
  threads: Type.Integer(),
  kvType: oneOf(KV_TYPES),
  gpuLayers: Type.Integer(),
  deviceShares: Type.Array(Type.Number()),
  hostExpertLayers: Type.Integer(),
  checkpointBytes: Type.Integer(),
  draft: Type.Boolean({ description: "The smaller model that guesses is loaded too." }),
});
export type PlannedSettings = Static<typeof PlannedSettings>;

const rate = (description: string) => orNull(Type.Number({ description }));
const PredictedSpeed = Type.Object(
  {
    tokensPerSecond: rate("Of one stream, with an empty context."),
    fullTokensPerSecond: rate("The same with a full one."),
    promptTokensPerSecond: rate("Of a prompt."),
    loadSeconds: rate("From the disk."),
    cachedLoadSeconds: rate("From the system's page cache."),
  },
  { description: "Of an engine that is alone; null: nothing was measured that would tell." },
);

const Placement = Type.Object({
  settings: PlannedSettings,
  memory: Type.Object({
    host: Parts,
    devices: Type.Array(Parts),
    totalBytes: bytes(),
    embeddingBytes: orNull(
      bytes(
        "Not in the total: what the first embedding adds, and is refused for where there is no room then. Null: nothing.",
      ),
    ),
  }),
  lowered: Type.Array(
    Type.Object({
      setting: Type.String(),
      from: Type.Union([Type.Number(), Type.Boolean()]),
      to: Type.Union([Type.Number(), Type.Boolean()]),
    }),
    { description: "What nobody asked for and was chosen below its standard, so that it fits." },
  ),
  speed: PredictedSpeed,
});
export type Placement = Static<typeof Placement>;

const Change = Type.Object({
  evict: Type.Array(Type.String(), { description: "Models to unload first." }),
  settings: Type.Object({}, { description: "To ask for instead, by the request's names; null: leave it out." }),
  model: orNull(Type.String({ description: "Another file of the model in its place." })),
  moreBytes: orNull(
    Type.Object(
      { host: bytes(), devices: Type.Array(bytes()) },
      { description: "What models would have to be given besides." },
    ),
  ),
});
export type Change = Static<typeof Change>;

const Pool = Type.Object({
  name: Type.String(),
  totalBytes: orNull(bytes()),
  budgetBytes: orNull(bytes("Most that all models may take; null: not known, so nothing limits them.")),
  reason: Type.String({ description: "Where the budget comes from." }),
});

const Restraint = Type.Object({
  what: oneOf(["memory", "threads"] as const),
  from: Type.Number(),
  to: Type.Number(),
  reason: Type.String(),
});

export const PlanReply = Type.Object({
  model: Type.String(),
  goal: oneOf(PLAN_GOALS),
  verdict: oneOf(["fits", "fits-if", "refused"] as const),
  reason: orNull(Type.String({ description: "Why it does not fit as it was asked for." })),
  source: orNull(oneOf(["measured", "estimated"] as const, "By llama.cpp's own account, or by the formula.")),
  notMeasured: orNull(
    Type.String({ description: "Why llama.cpp gave no account when it was asked; null: it did, or was not asked." }),
  ),
  convertTo: orNull(
    Type.String({ description: "The type that its weights would be converted to first; null: nothing has to be." }),
  ),
  asked: Type.Object({}, { description: "All that was asked for: here, by flags, by the model's own file." }),
  plan: orNull(Placement),
  options: Type.Array(
    Type.Object({
      kind: oneOf(OPTION_KINDS),
      cost: Type.String({ description: "In words." }),
      change: Change,
      plan: Placement,
    }),
    { description: "Changes of which each alone makes it fit." },
  ),
  change: orNull(Change),
  short: Type.Array(Type.Object({ pool: Type.String(), neededBytes: bytes(), leftBytes: bytes() }), {
    description: "What the settings that need the least more are short of.",
  }),
  machine: Type.Object({
    pools: Type.Array(Pool, { description: "Main memory first, then each device." }),
    unified: Type.Boolean({ description: "The devices' memory is the main memory." }),
    threads: Type.Integer(),
    restraints: Type.Array(Restraint, { description: "What was lowered by the state of the machine." }),
  }),
  residents: Type.Array(Type.Object({ model: Type.String(), bytes: bytes(), pinned: Type.Boolean() }), {
    description: "Models that are loaded beside it.",
  }),
  learned: orNull(
    Type.Object(
      {
        loads: Type.Integer(),
        excessBytes: bytes("By how much the worst plan was short; later ones count it in."),
        lastPlannedBytes: bytes(),
        lastMeasuredBytes: bytes(),
      },
      { description: "What earlier loads took." },
    ),
  ),
});
export type PlanReply = Static<typeof PlanReply>;

export const OptimizeReply = Type.Object({
  model: Type.String(),
  goal: oneOf(PLAN_GOALS),
  applied: Type.Boolean({ description: "The model is loaded with the proposed plan." }),
  reason: orNull(Type.String({ description: "Why it is not, though that was asked for." })),
  current: orNull(Placement),
  proposed: PlanReply,
});
export type OptimizeReply = Static<typeof OptimizeReply>;

export const OptimizationReply = Type.Object({
  policy: Type.Object({
    memoryShare: orNull(Type.Number({ description: "Of main memory, for models; null: automatic." })),
    baseShare: Type.Number({ description: "Of main memory, kept free of models." }),
    freeShare: Type.Number({ description: "Of free memory, for models even where less than the base is free." }),
    deviceShare: Type.Number(),
    memoryBudgetBytes: orNull(bytes()),
    autoOptimization: Type.Boolean(),
    thermalThrottling: Type.Boolean(),
    powerManagement: Type.Boolean(),
  }),
  automatic: Type.Array(Type.String(), { description: "Settings that a plan chooses where nobody asked for them." }),
  machine: PlanReply.properties.machine,
  lowered: Type.Array(
    Type.Object({
      model: Type.String(),
      setting: Type.String(),
      from: Type.Union([Type.Number(), Type.Boolean()]),
      to: Type.Union([Type.Number(), Type.Boolean()]),
    }),
    { description: "What loaded models have less of than usual, so that they fit." },
  ),
  unknown: Type.Record(Type.String(), Type.String(), { description: "What could not be read, and why." }),
  adaptation: AdaptationReply,
});
export type OptimizationReply = Static<typeof OptimizationReply>;

export const RecommendReply = Type.Object({
  models: Type.Array(
    Type.Object({
      model: Type.String(),
      sizeBytes: bytes(),
      verdict: oneOf(["fits", "fits-if", "refused"] as const),
      reason: Type.String(),
      plan: orNull(Placement),
    }),
    { description: "On the disk, best first." },
  ),
  hardware: Type.Array(
    Type.Object({
      change: Type.String(),
      description: Type.String(),
      gained: Type.Array(Type.String(), { description: "Models that would fit." }),
      speedup: orNull(Type.Number({ description: "Of the models that fit now." })),
    }),
    { description: "What would help, the most helpful first." },
  ),
  hub: Type.Array(
    Type.Object({
      model: Type.String({ description: "As `pull` takes it." }),
      sizeBytes: bytes(),
      downloads: Type.Integer(),
      tokensPerSecond: orNull(Type.Number({ description: "As if all weights were read for each token." })),
      source: Type.Literal("size", {
        description: "Known of it is its size alone: `POST /api/models/inspect` reads its header and plans it.",
      }),
    }),
    { description: "Models of the Hub that fit; of a search, so empty without `q`." },
  ),
});
export type RecommendReply = Static<typeof RecommendReply>;

export const PLAN_COMPONENTS = {
  PlanRequest,
  PlanReply,
  OptimizeRequest,
  OptimizeReply,
  OptimizationReply,
  RecommendReply,
};
