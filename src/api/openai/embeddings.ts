// POST /v1/embeddings: validate → embed → encode.

import type { Elysia } from "elysia";
import type { EmbeddingInput } from "../../protocol/generation.ts";
import { BodyReader } from "../body.ts";
import { checkDimensions } from "../dimensions.ts";
import { startWithin } from "../generate.ts";
import type { ApiContext } from "../options.ts";
import { RequestScope } from "../request-scope.ts";
import { describeRoute, INFERENCE_ERRORS } from "../route-docs.ts";
import { encodeEmbeddings } from "./encode-embeddings.ts";
import { invalidField } from "./limits.ts";
import { EMBEDDING_INPUTS_MAX, EmbeddingRequest } from "./schema.ts";

const bodies = new BodyReader(EmbeddingRequest);

export function addEmbeddingRoute(app: Elysia, api: ApiContext): void {
  app.post(
    "/v1/embeddings",
    async ({ request }) => {
      const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      const inputs = readInputs(body.input);
      const known = api.inference.resolveModel(body.model).info;
      if (known !== null) checkDimensions(body.dimensions, known.embeddingLength);
      const scope = new RequestScope(request.signal, api.options.requestTimeoutMs, api.clock);
      const result = await startWithin(scope, () => api.inference.embed(body.model, inputs, scope.signal));
      scope.close();
      checkDimensions(body.dimensions, result.dimensions);
      const format = body.encoding_format ?? "float";
      return Response.json(encodeEmbeddings(result.model.id, result, format, body.dimensions));
    },
    { detail: DOCS },
  );
}

/** A lone text or token list becomes the only input. */
function readInputs(input: EmbeddingRequest["input"]): EmbeddingInput[] {
  if (typeof input === "string") return [input];
  const numbers = input.filter((item) => typeof item === "number");
  if (numbers.length === input.length) return [numbers];
  if (numbers.length > 0) throw invalidField("input", "mixes token ids with other items");
  if (input.length > EMBEDDING_INPUTS_MAX) {
    throw invalidField("input", `has ${input.length} items, at most ${EMBEDDING_INPUTS_MAX} are taken at once`);
  }
  return input.filter((item) => typeof item !== "number");
}

const DOCS = describeRoute({
  operationId: "createEmbeddings",
  tag: "OpenAI",
  summary: "Embed texts",
  description:
    "Vectors of length 1 in the model's own pooling; a chat model without one uses its last token " +
    "(`embedding.source` in `/v1/models` says which). `--pooling` chooses another one for all models; with `none` there " +
    "is no vector of an input, and a reranker has none either: both are refused. `dimensions` keeps the first ones, brought " +
    "back to length 1: good vectors from models that were trained for it (Matryoshka), poor ones from others.",
  body: {
    schema: "EmbeddingRequest",
    examples: {
      one: { model: "demo", input: "Hello!" },
      short: { model: "demo", input: "Hello!", dimensions: 2 },
      several: { model: "demo", input: ["Hello!", "Good morning."], encoding_format: "base64" },
    },
  },
  reply: { schema: "EmbeddingReply", description: "One vector per input, in order." },
  errors: INFERENCE_ERRORS,
});
