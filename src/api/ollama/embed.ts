// POST /api/embed, and /api/embeddings as older clients have it: validate → embed → encode.

import type { Elysia } from "elysia";
import { BodyReader } from "../body.ts";
import { checkDimensions, shortenVector } from "../dimensions.ts";
import { startWithin } from "../generate.ts";
import type { ApiContext } from "../options.ts";
import { RequestScope } from "../request-scope.ts";
import { INFERENCE_ERRORS } from "../route-docs.ts";
import { loadOrUnload, measureLoad } from "./answer.ts";
import { describeOllamaRoute } from "./docs.ts";
import { toNanoseconds } from "./encode.ts";
import { readKeepAlive } from "./keep-alive.ts";
import { resolveTagged } from "./names.ts";
import type { OllamaEmbeddingsReply, OllamaEmbedReply } from "./reply-schema.ts";
import { OllamaEmbeddingsRequest, OllamaEmbedRequest } from "./schema.ts";

const bodies = new BodyReader(OllamaEmbedRequest);
const oldBodies = new BodyReader(OllamaEmbeddingsRequest);

export function addOllamaEmbedRoutes(app: Elysia, api: ApiContext): void {
  app.post(
    "/api/embed",
    async ({ request }) => {
      const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      const { input = [] } = body;
      const inputs = typeof input === "string" ? (input === "" ? [] : [input]) : input;
      return Response.json(await embed(api, request, { ...body, inputs }));
    },
    { detail: EMBED_DOCS },
  );
  app.post(
    "/api/embeddings",
    async ({ request }) => {
      const body = await oldBodies.read(request, api.options.bodyBytesMax, api.clock);
      const { prompt = "" } = body;
      const { embeddings } = await embed(api, request, { ...body, inputs: prompt === "" ? [] : [prompt] });
      const reply: OllamaEmbeddingsReply = { embedding: embeddings[0] ?? [] };
      return Response.json(reply);
    },
    { detail: OLD_DOCS },
  );
}

interface EmbedCall {
  model?: string;
  name?: string;
  keep_alive?: string | number;
  dimensions?: number;
  inputs: string[];
}

async function embed(api: ApiContext, request: Request, call: EmbedCall): Promise<OllamaEmbedReply> {
  const startedMs = api.clock.monotonicMs();
  const card = resolveTagged(api, call.model ?? call.name);
  const idleMs = readKeepAlive(call.keep_alive);
  const reply = (embeddings: number[][], loadMs: number, promptTokens: number): OllamaEmbedReply => ({
    model: call.model ?? call.name ?? card.id,
    embeddings,
    total_duration: toNanoseconds(api.clock.monotonicMs() - startedMs),
    load_duration: toNanoseconds(loadMs),
    prompt_eval_count: promptTokens,
  });
  if (card.info !== null) checkDimensions(call.dimensions, card.info.embeddingLength);
  if (call.inputs.length === 0) {
    await loadOrUnload(api, request, card, idleMs);
    return reply([], 0, 0);
  }
  const scope = new RequestScope(request.signal, api.options.requestTimeoutMs, api.clock);
  const result = await startWithin(scope, () => api.inference.embed(card.id, call.inputs, scope.signal));
  scope.close();
  if (idleMs !== undefined) api.inference.keepFor(card, idleMs);
  checkDimensions(call.dimensions, result.dimensions);
  const vectors = result.vectors.map((vector) => Array.from(shortenVector(vector, call.dimensions)));
  return reply(vectors, measureLoad(card, result.model), result.promptTokens);
}

const EMBED_DOCS = describeOllamaRoute({
  operationId: "ollamaEmbed",
  summary: "Embed texts",
  description: "As Ollama's route: vectors of length 1, as `/v1/embeddings` gives them.",
  body: {
    schema: "OllamaEmbedRequest",
    examples: {
      one: { model: "demo", input: "Hello!" },
      several: { model: "demo", input: ["Hello!", "Good morning."] },
    },
  },
  reply: { schema: "OllamaEmbedReply", description: "One vector per text, in order." },
  errors: INFERENCE_ERRORS,
});

const OLD_DOCS = describeOllamaRoute({
  operationId: "ollamaEmbeddings",
  summary: "Embed one text, as older clients do",
  body: { schema: "OllamaEmbeddingsRequest", examples: { one: { model: "demo", prompt: "Hello!" } } },
  reply: { schema: "OllamaEmbeddingsReply", description: "Its vector." },
  errors: INFERENCE_ERRORS,
});
