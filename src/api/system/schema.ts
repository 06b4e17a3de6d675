// The shapes of the system routes' responses and of every error: the only source of their documentation.

import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { ERROR_KINDS } from "../../protocol/errors.ts";
import { AdaptationReply } from "./adaptation-schema.ts";

export const RootReply = Type.Object({
  name: Type.String(),
  version: Type.String(),
  description: Type.String(),
  links: Type.Record(Type.String(), Type.String()),
});
export type RootReply = Static<typeof RootReply>;

const orNull = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

export const HealthReply = Type.Object({
  status: Type.Union([Type.Literal("healthy"), Type.Literal("degraded"), Type.Literal("unhealthy")]),
  troubles: Type.Array(
    Type.Object({
      subject: orNull(Type.String({ description: "The model or device that it is about; null: the server." })),
      reason: Type.String(),
      fix: Type.String({ description: "What mends it." }),
    }),
    { description: "Why it is `degraded`; empty when it is not." },
  ),
  backends: Type.Object({
    llamacpp: Type.Object({
      available: Type.Boolean(),
      ready: Type.Boolean({ description: "An engine is up, or one can be started." }),
      details: Type.String(),
    }),
  }),
});
export type HealthReply = Static<typeof HealthReply>;

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
      info: orNull(
        Type.Object(
          {},
          { description: "The loaded model: sizes, context, devices, threads, draft model, MTP layers." },
        ),
      ),
      stats: orNull(Type.Object({}, { description: "Sequences, KV cells, guessed tokens and live native objects." })),
    }),
  ),
  adaptation: AdaptationReply,
});
export type BackendReply = Static<typeof BackendReply>;

export const CacheListReply = Type.Object({
  entries: Type.Array(
    Type.Object({
      model: Type.String(),
      state: Type.Union([Type.Literal("live"), Type.Literal("retained"), Type.Literal("disk")], {
        description: "In a running sequence, kept in memory, or kept on disk only.",
      }),
      tokens: Type.Integer(),
      durableTokens: Type.Integer({ description: "Of these, on disk as well." }),
      session: orNull(Type.String()),
      lora: orNull(
        Type.Array(Type.Object({ id: Type.Integer(), scale: Type.Number() }), {
          description: "The adapters that it is for; null: not known of what is on disk only.",
        }),
      ),
      idleMs: Type.Number({ description: "Since it was last used." }),
      preview: Type.String({ description: "The beginning of its text." }),
    }),
  ),
  models: Type.Array(
    Type.Object({
      model: Type.String(),
      state: Type.String({
        description: "`loaded`; `asleep` or `unloaded`: what was on disk when its engine was stopped.",
      }),
      retained: Type.Object({ sequences: Type.Integer(), tokens: Type.Integer() }),
      kvStore: orNull(
        Type.Object({
          files: Type.Integer(),
          bytes: Type.Integer(),
          bytesMax: Type.Integer(),
          warning: orNull(Type.String({ description: "Why nothing is written any more, if so." })),
        }),
      ),
      evaluatedTokens: Type.Integer({ description: "Prompt tokens computed since the engine started." }),
      reusedTokens: Type.Integer({ description: "Prompt tokens that were there already." }),
    }),
  ),
});
export type CacheListReply = Static<typeof CacheListReply>;

export const ErrorReply = Type.Object({
  error: Type.Object({
    message: Type.String(),
    type: Type.String({ description: "OpenAI's class of error." }),
    code: Type.Union(Object.keys(ERROR_KINDS).map((code) => Type.Literal(code))),
    param: Type.Union([Type.String(), Type.Null()], { description: "The path of the field at fault." }),
    hint: Type.String({ description: "What to do about it." }),
  }),
});
