// The shapes of the stream routes.

import { type Static, Type } from "@sinclair/typebox";

export const StreamDeletedReply = Type.Object({ id: Type.String(), deleted: Type.Literal(true) });
export type StreamDeletedReply = Static<typeof StreamDeletedReply>;
