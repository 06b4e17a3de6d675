// GET /v1/models and /v1/models/*: the models as OpenAI lists them, with what we know beyond that. Clients that name a
// version of Anthropic's API get its shape (anthropic/models.ts): both have these paths.

import type { Elysia } from "elysia";
import { AppError } from "../../protocol/errors.ts";
import type { ModelCard } from "../../router/inference.ts";
import { VERSION_HEADER } from "../anthropic/errors.ts";
import { encodeAnthropicModel, PAGE_MODELS, PAGE_MODELS_MAX, pageModels } from "../anthropic/models.ts";
import { isLocalAddress } from "../host-check.ts";
import type { ApiContext } from "../options.ts";
import { describeRoute } from "../route-docs.ts";
import { encodeModel } from "./encode.ts";
import type { ModelListReply } from "./reply-schema.ts";

/** What a look-back over "the whole context" means while nothing is known about the model. */
const UNKNOWN_CONTEXT_TOKENS = 4096;

const PATH = "/v1/models/";

export function addModelRoutes(app: Elysia, api: ApiContext): void {
  const isLocal = isLocalAddress(api.options.host);
  app.get(
    "/v1/models",
    ({ request }) => {
      const cards = api.inference.listModels();
      if (request.headers.has(VERSION_HEADER)) {
        return Response.json(pageModels(cards, new URL(request.url).searchParams));
      }
      return Response.json({
        object: "list",
        data: cards.map((card) => encodeModel(card, isLocal)),
      } satisfies ModelListReply);
    },
    { detail: LIST_DOCS },
  );
  // Ids may hold slashes, which `:id` does not match.
  app.get(
    `${PATH}*`,
    ({ path, request }) => {
      const card = api.inference.resolveModel(decodeModelId(path.slice(PATH.length)));
      return Response.json(
        request.headers.has(VERSION_HEADER) ? encodeAnthropicModel(card) : encodeModel(card, isLocal),
      );
    },
    { detail: ONE_DOCS },
  );
}

export function chooseContextLength(card: ModelCard): number {
  return card.info?.sequenceContextLength ?? card.contextLength ?? UNKNOWN_CONTEXT_TOKENS;
}

/** Of a path that ends in one. Throws `invalid_request`. */
export function decodeModelId(raw: string): string {
  try {
    return decodeURIComponent(raw);
  } catch (thrown) {
    throw new AppError(
      { code: "invalid_request", message: "the model's id in the path is not valid percent-encoding", param: "model" },
      { cause: thrown },
    );
  }
}

const VERSION_HEADER_DOCS = {
  name: VERSION_HEADER,
  description: "Any: answer as Anthropic's API does.",
  schema: { type: "string" },
};

const LIMIT_SCHEMA = { type: "integer", minimum: 1, maximum: PAGE_MODELS_MAX, default: PAGE_MODELS };

const LIST_DOCS = describeRoute({
  operationId: "listModels",
  tag: "OpenAI",
  summary: "List the models",
  description: "With `anthropic-version` in Anthropic's shape, page by page; else all of them.",
  headers: [VERSION_HEADER_DOCS],
  query: [
    { name: "limit", description: "With `anthropic-version`: models of a page.", schema: LIMIT_SCHEMA },
    { name: "after_id", description: "With `anthropic-version`: the page behind it.", schema: { type: "string" } },
    { name: "before_id", description: "With `anthropic-version`: the page before it.", schema: { type: "string" } },
  ],
  reply: {
    schema: ["ModelListReply", "AnthropicModelListReply"],
    description: "Every model that can be asked for.",
  },
  errors: ["invalid_request"],
});

const ONE_DOCS = describeRoute({
  operationId: "getModel",
  tag: "OpenAI",
  summary: "Show one model",
  description: "Ids may hold slashes, as they are or as %2F; aliases and `default` work too.",
  pathParameter: { name: "model", description: "The model's id or alias.", example: "demo" },
  headers: [VERSION_HEADER_DOCS],
  reply: { schema: ["ModelReply", "AnthropicModelReply"], description: "The model." },
  errors: ["invalid_request", "model_not_found"],
});
