// The shapes of the answers about the Hub: the only source of their types and documentation.

import { type Static, Type } from "@sinclair/typebox";

const orNull = <S extends ReturnType<typeof Type.String> | ReturnType<typeof Type.Boolean>>(schema: S) =>
  Type.Union([schema, Type.Null()]);

export const HubSearchReply = Type.Object({
  models: Type.Array(
    Type.Object({
      repo: Type.String({ description: "`owner/repo`" }),
      downloads: Type.Integer({ description: "In the last month." }),
      likes: Type.Integer(),
      gated: Type.Boolean({ description: "Its files are given only to who accepts terms." }),
      updated_at: orNull(Type.String()),
      variants: Type.Array(
        Type.Object({
          tag: Type.String({ description: "`owner/repo:tag` names it." }),
          size_bytes: Type.Integer(),
          fits: orNull(Type.Boolean({ description: "Into the memory that is free; null: not known." })),
        }),
        { description: "Its models, the smallest first." },
      ),
      pull: orNull(Type.String({ description: "What is downloaded for `owner/repo` alone; null: nothing fits." })),
      error: orNull(Type.String({ description: "Why its files could not be listed." })),
    }),
  ),
});
export type HubSearchReply = Static<typeof HubSearchReply>;
