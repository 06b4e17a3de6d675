// The shapes of the answers about the Hub: the only source of their types and documentation.

import { type Static, type TSchema, Type } from "@sinclair/typebox";

const orNull = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

export const HubSearchReply = Type.Object({
  models: Type.Array(
    Type.Object({
      repo: Type.String({ description: "`owner/repo`" }),
      downloads: Type.Integer({ description: "In the last month." }),
      likes: Type.Integer(),
      gated: Type.Boolean({ description: "Its files are given only to who accepts terms." }),
      updatedAt: orNull(Type.String()),
      architecture: orNull(Type.String({ description: "As the Hub read it in one of the files; null: not told." })),
      context_length: orNull(Type.Integer()),
      parameter_count: orNull(Type.Integer()),
      capabilities: orNull(
        Type.Object(
          { tools: Type.Boolean(), reasoning: Type.Boolean() },
          { description: "By its chat template; null: not told." },
        ),
      ),
      variants: Type.Array(
        Type.Object({
          tag: Type.String({ description: "`owner/repo:tag` names it." }),
          sizeBytes: Type.Integer(),
          fits: orNull(Type.Boolean({ description: "Into the memory that is free; null: not known." })),
        }),
        { description: "Its models of the sizes that were asked for, the smallest first." },
      ),
      pull: orNull(Type.String({ description: "What is downloaded for `owner/repo` alone; null: nothing fits." })),
      error: orNull(Type.String({ description: "Why its files could not be listed." })),
    }),
  ),
});
export type HubSearchReply = Static<typeof HubSearchReply>;
