// What the system routes say of engines that are lowered: the only source of its documentation.

import { type Static, Type } from "@sinclair/typebox";

const Lowered = Type.Object({
  what: Type.Union([Type.Literal("batch"), Type.Literal("parallel"), Type.Literal("cache")]),
  from: Type.Integer(),
  to: Type.Integer(),
  words: Type.String({ description: "With the reason." }),
});

const EngineAdaptation = Type.Object({
  model: Type.String(),
  pid: Type.Integer(),
  level: Type.Integer({ description: "0: as it was loaded." }),
  levelMax: Type.Integer(),
  limits: Type.Object({
    promptRows: Type.Integer({ description: "Of a step; rows that decode come on top." }),
    places: Type.Integer({ description: "Sequences at once." }),
    cacheShare: Type.Number({ description: "Of what may be kept of ended sequences." }),
  }),
  lowered: Type.Array(Lowered),
  spared: Type.Array(Lowered, { description: "Would be lowered if it had not been set explicitly." }),
  causes: Type.Array(
    Type.Object({
      cause: Type.Union([
        Type.Literal("memory"),
        Type.Literal("device-memory"),
        Type.Literal("heat"),
        Type.Literal("battery"),
      ]),
      pressure: Type.Union([
        Type.Literal("calm"),
        Type.Literal("hold"),
        Type.Literal("high"),
        Type.Literal("critical"),
      ]),
      reason: Type.String({ description: "The figure that says so." }),
    }),
    { description: "What presses, or keeps it from going back." },
  ),
});

export const AdaptationReply = Type.Object({
  policy: Type.Object({
    autoOptimization: Type.Boolean(),
    thermalThrottling: Type.Boolean(),
    powerManagement: Type.Boolean(),
    lowersExplicit: Type.Boolean(),
  }),
  problem: Type.Union([Type.String(), Type.Null()], {
    description: "Why the machine could not be looked at the last time.",
  }),
  engines: Type.Array(EngineAdaptation),
});
export type AdaptationReply = Static<typeof AdaptationReply>;
