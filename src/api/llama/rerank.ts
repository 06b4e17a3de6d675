// POST /v1/rerank and its other names: a query and documents → which of them answer it best.

import type { Elysia } from "elysia";
import { AppError } from "../../protocol/errors.ts";
import type { EmbeddingResult } from "../../protocol/generation.ts";
import type { ModelCard } from "../../router/inference.ts";
import { BodyReader } from "../body.ts";
import { startWithin } from "../generate.ts";
import { invalidField } from "../openai/limits.ts";
import type { ApiContext } from "../options.ts";
import { RequestScope } from "../request-scope.ts";
import { describeRoute, INFERENCE_ERRORS } from "../route-docs.ts";
import { type RerankReply, RerankRequest } from "./schema.ts";

const bodies = new BodyReader(RerankRequest);

/** The first as Cohere and Jina have it, the others as llama.cpp's server has them too. */
const PATHS = ["/v1/rerank", "/rerank", "/v1/reranking", "/reranking"] as const;

export function addRerankRoutes(app: Elysia, api: ApiContext): void {
  for (const path of PATHS) {
    app.post(path, async ({ request }) => Response.json(await rerank(api, request)), { detail: describe(path) });
  }
}

async function rerank(api: ApiContext, request: Request): Promise<RerankReply> {
  const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
  refuseOtherModels(api.inference.resolveModel(body.model));
  checkQuery(body);
  const texts = body.documents.map((document) => (typeof document === "string" ? document : document.text));
  const inputs = texts.map((document) => ({ query: body.query, document }));
  const scope = new RequestScope(request.signal, api.options.requestTimeoutMs, api.clock);
  const result = await startWithin(scope, () => api.inference.embed(body.model, inputs, scope.signal));
  scope.close();
  return encodeRanks(result.model.id, result, texts, body);
}

/** The engine gets the query with each document, in one message of bounded size: a long one would fill the memory first. */
const QUERY_CHARS_MAX = 4 * 1024 * 1024;

function checkQuery({ query, documents }: Pick<RerankRequest, "query" | "documents">): void {
  const most = Math.floor(QUERY_CHARS_MAX / documents.length);
  if (query.length <= most) return;
  const beside = `${documents.length} document${documents.length === 1 ? "" : "s"}`;
  throw invalidField("query", `has ${query.length} characters, at most ${most} are taken with ${beside}`);
}

/** Before the model is loaded for it, where its file says enough. */
function refuseOtherModels({ id, embeddingPooling }: ModelCard): void {
  if (embeddingPooling === null || embeddingPooling === "rank") return;
  throw new AppError({
    code: "not_supported",
    message: `${id} does not rank: its pooling is ${embeddingPooling}, and a reranker's is rank.`,
    hint: "Use a reranker, such as bge-reranker-v2-m3.",
    param: "model",
  });
}

function encodeRanks(
  model: string,
  { vectors, promptTokens }: EmbeddingResult,
  texts: readonly string[],
  { top_n, return_documents }: Pick<RerankRequest, "top_n" | "return_documents">,
): RerankReply {
  const ranked = vectors.map(([score = 0], index) => ({ index, score })).sort((a, b) => b.score - a.score);
  return {
    object: "list",
    model,
    results: ranked.slice(0, top_n ?? ranked.length).map(({ index, score }) => ({
      index,
      relevance_score: score,
      ...(return_documents === true ? { document: { text: texts[index] ?? "" } } : {}),
    })),
    usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
  };
}

function describe(path: (typeof PATHS)[number]) {
  const isFirst = path === PATHS[0];
  return describeRoute({
    operationId: `rerank${isFirst ? "" : path.replace(/\W+(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
    tag: "llama.cpp",
    summary: isFirst ? "Rank documents by a query" : `The same as ${PATHS[0]}`,
    description:
      "For rerankers: models whose pooling is `rank`. The prompt is the model's own template, or query and document " +
      "between the tokens that its vocabulary sets around them. A document that is longer than the model's input is refused.",
    body: {
      schema: "RerankRequest",
      examples: {
        texts: {
          model: "demo",
          query: "What is a panda?",
          documents: ["It is a bear.", "Hello!"],
          top_n: 1,
          return_documents: true,
        },
      },
    },
    reply: { schema: "RerankReply", description: "The documents' places, the most relevant first." },
    errors: INFERENCE_ERRORS,
  });
}
