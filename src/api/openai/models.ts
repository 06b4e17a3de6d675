// GET /v1/models and /v1/models/*: the models as OpenAI lists them, with what we know beyond that.

import type { Elysia } from "elysia";
import { AppError } from "../../protocol/errors.ts";
import type { ModelCard } from "../../router/inference.ts";
import type { ApiContext } from "../options.ts";
import { describeRoute } from "../route-docs.ts";
import { encodeModel } from "./encode.ts";
import type { ModelListReply } from "./reply-schema.ts";

/** What a look-back over "the whole context" means while nothing is known about the model. */
const UNKNOWN_CONTEXT_TOKENS = 4096;

const PATH = "/v1/models/";

export function addModelRoutes(app: Elysia, api: ApiContext): void {
  app.get(
    "/v1/models",
    () => {
      const list: ModelListReply = { object: "list", data: api.inference.listModels().map(encodeModel) };
      return Response.json(list);
    },
    { detail: LIST_DOCS },
  );
  // Ids may hold slashes, which `:id` does not match.
  app.get(
    `${PATH}*`,
    ({ path }) => Response.json(encodeModel(api.inference.resolveModel(decodeModelId(path.slice(PATH.length))))),
    { detail: ONE_DOCS },
  );
}

export function chooseContextLength(card: ModelCard): number {
  return card.info?.sequenceContextLength ?? card.contextLength ?? UNKNOWN_CONTEXT_TOKENS;
}

function decodeModelId(raw: string): string {
  try {
    return decodeURIComponent(raw);
  } catch (thrown) {
    throw new AppError(
      { code: "invalid_request", message: "the model's id in the path is not valid percent-encoding", param: "model" },
      { cause: thrown },
    );
  }
}

const LIST_DOCS = describeRoute({
  operationId: "listModels",
  tag: "OpenAI",
  summary: "List the models",
  reply: { schema: "ModelListReply", description: "Every model that can be asked for." },
  errors: [],
});

const ONE_DOCS = describeRoute({
  operationId: "getModel",
  tag: "OpenAI",
  summary: "Show one model",
  description: "Ids may hold slashes, as they are or as %2F; aliases and `default` work too.",
  pathParameter: { name: "model", description: "The model's id or alias.", example: "demo" },
  reply: { schema: "ModelReply", description: "The model." },
  errors: ["invalid_request", "model_not_found"],
});
