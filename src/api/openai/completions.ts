// POST /v1/completions: validate → generate → encode. The prompt is taken as it is, without a chat template.

import type { Elysia } from "elysia";
import type { GenerationRequest, Prompt } from "../../protocol/generation.ts";
import { BodyReader } from "../body.ts";
import { CACHE_HEADER_DOCS } from "../cache-report.ts";
import { answerGeneration } from "../generate.ts";
import { MLO_HEADERS, readMloFields } from "../mlo-fields.ts";
import type { ApiContext } from "../options.ts";
import { createId } from "../request-id.ts";
import { describeRoute, INFERENCE_ERRORS } from "../route-docs.ts";
import { type AnswerHead, createCompletionStream, encodeCompletion } from "./encode.ts";
import { invalidField, readStops, readTokenLimit, refuse } from "./limits.ts";
import { chooseContextLength } from "./models.ts";
import { readSampling } from "./sampling.ts";
import { CompletionRequest } from "./schema.ts";

const bodies = new BodyReader(CompletionRequest);

export function addCompletionRoute(app: Elysia, api: ApiContext): void {
  app.post(
    "/v1/completions",
    async ({ request }) => {
      const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      const card = api.inference.resolveModel(body.model);
      return answerGeneration(api, request, {
        model: body.model,
        generation: {
          ...readCompletionRequest(body, chooseContextLength(card)),
          ...readMloFields(request.headers, body),
        },
        stream: body.stream ?? false,
        chooseFormat({ model }) {
          const created = Math.floor(api.clock.wallMs() / 1000);
          const head: AnswerHead = { id: createId("cmpl-"), created, model: model.id };
          return {
            encodeWhole: (answer) => encodeCompletion(head, answer),
            createStream: () => createCompletionStream(head, body.stream_options?.include_usage ?? false),
          };
        },
      });
    },
    { detail: DOCS },
  );
}

export function readCompletionRequest(body: CompletionRequest, contextLength: number): GenerationRequest {
  refuseUnsupported(body);
  const request: GenerationRequest = {
    prompt: readPrompt(body.prompt),
    sampling: readSampling(body, contextLength),
    stop: readStops(body.stop),
  };
  const limit = readTokenLimit("max_tokens", body.max_tokens);
  if (limit !== undefined) request.maxTokens = limit;
  return request;
}

function refuseUnsupported(body: CompletionRequest): void {
  if (body.n !== undefined && body.n > 1) refuse("n", "only one choice is generated");
  if (body.best_of !== undefined && body.best_of > 1) refuse("best_of", "only 1 is");
  if (body.echo === true) refuse("echo", "only false is");
  if (body.logprobs !== undefined) refuse("logprobs", "leave it out");
  if (body.suffix !== undefined && body.suffix !== "") refuse("suffix", "text can't be inserted");
}

function readPrompt(prompt: CompletionRequest["prompt"]): Prompt {
  if (typeof prompt === "string") return { kind: "text", text: prompt };
  const first = prompt[0];
  if (typeof first === "number") {
    const tokens = prompt.filter((item) => typeof item === "number");
    if (tokens.length !== prompt.length) throw invalidField("prompt", "mixes token ids with other items");
    return { kind: "tokens", tokens };
  }
  if (prompt.length > 1) refuse("prompt", "only one prompt per request is");
  if (typeof first === "string") return { kind: "text", text: first };
  return { kind: "tokens", tokens: first ?? [] };
}

const DOCS = describeRoute({
  operationId: "createCompletion",
  tag: "OpenAI",
  summary: "Continue a text",
  description:
    "As OpenAI's route, plus llama.cpp's sampling fields. One prompt per request, as text or token ids. " +
    "With `stream: true` the answer is server-sent events of the same shape, then `[DONE]`.",
  headers: MLO_HEADERS,
  body: {
    schema: "CompletionRequest",
    examples: {
      text: { model: "demo", prompt: "One, two, three,", max_tokens: 16 },
      streamed: { model: "demo", prompt: "One, two, three,", max_tokens: 16, temperature: 0, stream: true },
    },
  },
  reply: {
    schema: "CompletionReply",
    description: "The continuation.",
    streamSchema: "CompletionReply",
    headers: CACHE_HEADER_DOCS,
  },
  errors: INFERENCE_ERRORS,
});
