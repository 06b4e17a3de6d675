// The shapes of the system routes' responses and of every error: the only source of their documentation.

import { type Static, Type } from "@sinclair/typebox";
import { ERROR_KINDS } from "../../protocol/errors.ts";

export const RootReply = Type.Object({
  name: Type.String(),
  version: Type.String(),
  description: Type.String(),
  links: Type.Record(Type.String(), Type.String()),
});
export type RootReply = Static<typeof RootReply>;

export const HealthReply = Type.Object({
  status: Type.Union([Type.Literal("healthy"), Type.Literal("degraded"), Type.Literal("unhealthy")]),
  backends: Type.Object({
    llamacpp: Type.Object({
      available: Type.Boolean(),
      ready: Type.Boolean({ description: "An engine is up, or one can be started." }),
      details: Type.String(),
    }),
  }),
});
export type HealthReply = Static<typeof HealthReply>;

const orNull = (schema: ReturnType<typeof Type.Object>) => Type.Union([schema, Type.Null()]);

/** Engines tell more than is fixed here: `info` and `stats` are what the engine of this version reports. */
export const BackendReply = Type.Object({
  version: Type.String(),
  llamaCpp: Type.Object({ version: Type.String(), commit: Type.String() }),
  plugins: Type.Array(Type.String(), { description: "Backend libraries in load order." }),
  skippedPlugins: Type.Array(Type.Object({ file: Type.String(), reason: Type.String() })),
  engines: Type.Array(
    Type.Object({
      model: Type.String(),
      pid: Type.Integer(),
      state: Type.String(),
      info: orNull(Type.Object({}, { description: "The loaded model: sizes, context, devices, threads." })),
      stats: orNull(Type.Object({}, { description: "Sequences, KV cells and live native objects." })),
    }),
  ),
});

export const ErrorReply = Type.Object({
  error: Type.Object({
    message: Type.String(),
    type: Type.String({ description: "OpenAI's class of error." }),
    code: Type.Union(Object.keys(ERROR_KINDS).map((code) => Type.Literal(code))),
    param: Type.Union([Type.String(), Type.Null()], { description: "The path of the field at fault." }),
    hint: Type.String({ description: "What to do about it." }),
  }),
});
