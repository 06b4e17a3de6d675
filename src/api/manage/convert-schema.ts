// The shapes of the routes that convert models: the only source of their types and documentation.

import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { ERROR_KINDS } from "../../protocol/errors.ts";

const orNull = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

/** Longer than the paths of any file system that models lie on. */
const PATH_LENGTH_MAX = 4096;

export const ConvertRequest = Type.Object({
  source: Type.String({
    minLength: 1,
    maxLength: PATH_LENGTH_MAX,
    description: "The id of a model that is listed with `conversion`, or the absolute path of a folder.",
  }),
  outtype: Type.Optional(
    Type.String({ maxLength: 32, default: "auto", description: "Such as `q8_0`; `auto` keeps 16 bits." }),
  ),
  name: Type.Optional(
    Type.String({
      // Letters of any file system, and nothing that leads elsewhere or hides.
      pattern: "^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$",
      description: "What the model is called, without a folder; absent: as its source, with the type behind it.",
    }),
  ),
  wait: Type.Optional(Type.Boolean({ default: false, description: "Answer when it has ended." })),
});
export type ConvertRequest = Static<typeof ConvertRequest>;

export const ConversionReply = Type.Object({
  id: Type.String(),
  source: Type.String({ description: "As it was named." }),
  state: Type.Union(["queued", "running", "done", "failed", "cancelled"].map((state) => Type.Literal(state))),
  outType: Type.String({ description: "As it was asked for, until it is settled." }),
  file: orNull(Type.String({ description: "The name of the file; null while it is not settled." })),
  phase: Type.Union([Type.Literal("write"), Type.Literal("quantize"), Type.Null()], {
    description: "Small types are written as plain numbers first, and quantised then; null: there is one phase alone.",
  }),
  doneBytes: Type.Integer({ description: "Of this phase." }),
  totalBytes: orNull(Type.Integer()),
  askedAt: Type.Integer({ description: "Milliseconds since the epoch." }),
  endedAt: orNull(Type.Integer()),
  notes: Type.Array(Type.String(), { description: "What to know about the result." }),
  error: orNull(
    Type.Object({
      code: Type.Union(Object.keys(ERROR_KINDS).map((code) => Type.Literal(code))),
      message: Type.String(),
      hint: Type.String(),
    }),
  ),
});
export type ConversionReply = Static<typeof ConversionReply>;

export const ConversionListReply = Type.Object({ conversions: Type.Array(ConversionReply) });
export type ConversionListReply = Static<typeof ConversionListReply>;
