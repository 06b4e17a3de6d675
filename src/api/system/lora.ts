// GET and POST /lora-adapters: the adapters of the default model, and the scales that requests get which name none.

import { type Static, Type } from "@sinclair/typebox";
import type { Elysia } from "elysia";
import { BodyReader } from "../body.ts";
import { LoraScales } from "../lora-fields.ts";
import type { ApiContext } from "../options.ts";
import { describeRoute } from "../route-docs.ts";

export const LoraScalesRequest = LoraScales;

export const LoraAdapterListReply = Type.Array(
  Type.Object({
    id: Type.Integer(),
    path: Type.String({ description: "File name." }),
    scale: Type.Number({ description: "Of requests that name no adapters; 0 is without it." }),
    task_name: Type.String({ description: "What its file says of itself; often empty." }),
    prompt_prefix: Type.String({ description: "Likewise." }),
  }),
);
export type LoraAdapterListReply = Static<typeof LoraAdapterListReply>;

export const LoraScalesReply = Type.Object({ success: Type.Literal(true) });
export type LoraScalesReply = Static<typeof LoraScalesReply>;

// The body is an array: it is checked as the field of the same shape, so that errors name `lora[0].scale`.
const bodies = new BodyReader(Type.Object({ lora: LoraScalesRequest }), { arrayAs: "lora" });

export function addLoraRoutes(app: Elysia, api: ApiContext): void {
  app.get(
    "/lora-adapters",
    () => {
      const list: LoraAdapterListReply = api.inference
        .listAdapters()
        .map(({ id, path, scale, taskName, promptPrefix }) => {
          return { id, path, scale, task_name: taskName, prompt_prefix: promptPrefix };
        });
      return Response.json(list);
    },
    { detail: LIST_DOCS },
  );
  app.post(
    "/lora-adapters",
    async ({ request }) => {
      const { lora } = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      api.inference.setAdapterScales(lora);
      const reply: LoraScalesReply = { success: true };
      return Response.json(reply);
    },
    { detail: SET_DOCS },
  );
}

const LIST_DOCS = describeRoute({
  operationId: "listLoraAdapters",
  tag: "System",
  summary: "LoRA adapters",
  description: "The adapters that the server was started with (`--lora`), of its default model.",
  reply: { schema: "LoraAdapterListReply", description: "In the order of their ids." },
  errors: [],
});

const SET_DOCS = describeRoute({
  operationId: "setLoraScales",
  tag: "System",
  summary: "Set the scales of LoRA adapters",
  description:
    "For requests from now on that name no adapters in `lora`; those that run go on as they began. Adapters that are " +
    "not named get scale 0. Forgotten when the server ends.",
  body: { schema: "LoraScalesRequest", examples: { none: [] } },
  reply: { schema: "LoraScalesReply", description: "It is done." },
  errors: ["invalid_request", "payload_too_large", "timeout"],
});
