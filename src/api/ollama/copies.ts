// POST /api/copy: a further name for a model. DELETE /api/delete: takes such a name back, or deletes a model's file if
// that is this server's to delete. What may be deleted is decided in models/, not here.

import type { Elysia } from "elysia";
import { BodyReader } from "../body.ts";
import type { ApiContext } from "../options.ts";
import { describeOllamaRoute } from "./docs.ts";
import { dropLatest, requireName, resolveTagged, withoutTag } from "./names.ts";
import { OllamaCopyRequest, OllamaDeleteRequest } from "./schema.ts";

const copyBodies = new BodyReader(OllamaCopyRequest);
const deleteBodies = new BodyReader(OllamaDeleteRequest);

export function addOllamaCopyRoutes(app: Elysia, api: ApiContext): void {
  app.post(
    "/api/copy",
    async ({ request }) => {
      const { source, destination } = await copyBodies.read(request, api.options.bodyBytesMax, api.clock);
      api.inference.addAlias(resolveTagged(api, source).id, dropLatest(destination));
      return new Response(null);
    },
    { detail: COPY_DOCS },
  );
  app.delete(
    "/api/delete",
    async ({ request }) => {
      const name = requireName(await deleteBodies.read(request, api.options.bodyBytesMax, api.clock));
      withoutTag(name, (tried) => api.inference.remove(tried));
      return new Response(null);
    },
    { detail: DELETE_DOCS },
  );
}

const COPY_DOCS = describeOllamaRoute({
  operationId: "ollamaCopy",
  summary: "Give a model a further name",
  description:
    "No file is copied: the destination is another name of the source from now on, also after a restart. A name that " +
    "means something already is refused, but for one that was copied before.",
  body: { schema: "OllamaCopyRequest", examples: { copy: { source: "demo", destination: "my-demo" } } },
  reply: { description: "Done; nothing follows.", mediaType: null },
  errors: ["invalid_request", "model_not_found", "payload_too_large", "timeout"],
});

const DELETE_DOCS = describeOllamaRoute({
  operationId: "ollamaDelete",
  summary: "Delete a copied name, or a model",
  description:
    "A name that /api/copy gave is taken back. A model's file is deleted only if it lies in the server's own models folder " +
    "(`$XDG_DATA_HOME/ml-offload/models`), not behind a link to another one, and was not named with `--model`: everything " +
    "else is refused with 403. It has to be named by its id.",
  body: { schema: "OllamaDeleteRequest", examples: { copy: { model: "my-demo" } } },
  reply: { description: "Done; nothing follows.", mediaType: null },
  errors: ["invalid_request", "model_not_found", "payload_too_large", "timeout"],
});
