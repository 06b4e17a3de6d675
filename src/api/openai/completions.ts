// POST /v1/completions: validate → generate → encode. The prompt is taken as it is, without a chat template.

import type { Elysia } from "elysia";
import type { GenerationRequest, Prompt } from "../../protocol/generation.ts";
import { BodyReader } from "../body.ts";
import { CACHE_HEADER_DOCS } from "../cache-report.ts";
import { answerGeneration } from "../generate.ts";
import { readLora } from "../lora-fields.ts";
import { MLO_HEADERS, readMloFields } from "../mlo-fields.ts";
import type { ApiContext } from "../options.ts";
import { createId } from "../request-id.ts";
import { describeRoute, INFERENCE_ERRORS } from "../route-docs.ts";
import { type AnswerHead, createCompletionStream, encodeCompletion } from "./encode.ts";
import { CHOICES_MAX, invalidField, readStops, readTokenLimit, refuse, repeatPerChoice } from "./limits.ts";
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
      const choicesPerPrompt = body.n ?? 1;
      const mlo = { ...readMloFields(request.headers, body), ...readLora(body) };
      return answerGeneration(api, request, {
        model: body.model,
        generations: readCompletionRequests(body, chooseContextLength(card)).flatMap((generation) =>
          repeatPerChoice({ ...generation, ...mlo }, choicesPerPrompt),
        ),
        choicesPerPrompt,
        stream: body.stream ?? false,
        chooseFormat({ model }) {
          const created = Math.floor(api.clock.wallMs() / 1000);
          const head: AnswerHead = { id: createId("cmpl-"), created, model: model.id };
          return {
            encodeWhole: (answers, total) => encodeCompletion(head, answers, total),
            createStream: () => createCompletionStream(head, body.stream_options?.include_usage ?? false),
          };
        },
      });
    },
    { detail: DOCS },
  );
}

/** One request per prompt. */
function readCompletionRequests(body: CompletionRequest, contextLength: number): GenerationRequest[] {
  refuseUnsupported(body);
  const prompts = readPrompts(body.prompt);
  const choices = body.n ?? 1;
  if (prompts.length * choices > CHOICES_MAX) {
    const asked = `asks for ${prompts.length * choices} choices with \`n\` ${choices}`;
    throw invalidField("prompt", `${asked}, at most ${CHOICES_MAX} are generated at once`);
  }
  const common = { sampling: readSampling(body, contextLength), stop: readStops(body.stop) };
  const limit = readTokenLimit("max_tokens", body.max_tokens);
  const limits = limit === undefined ? {} : { maxTokens: limit };
  return prompts.map((prompt) => ({ prompt, ...common, ...limits }));
}

function refuseUnsupported(body: CompletionRequest): void {
  const choices = body.n ?? 1;
  const candidates = body.best_of ?? choices;
  if (candidates < choices)
    throw invalidField("best_of", `must not be less than \`n\` (${choices}), got ${candidates}`);
  if (candidates > choices)
    refuse("best_of", "the best are chosen by log probabilities; only the same number as `n` is");
  if (body.echo === true) refuse("echo", "only false is");
  if (body.logprobs !== undefined) refuse("logprobs", "leave it out");
  if (body.suffix !== undefined && body.suffix !== "") refuse("suffix", "text can't be inserted");
}

function readPrompts(prompt: CompletionRequest["prompt"]): Prompt[] {
  if (typeof prompt === "string") return [{ kind: "text", text: prompt }];
  const tokens = prompt.filter((item) => typeof item === "number");
  if (tokens.length === prompt.length) return [{ kind: "tokens", tokens }];
  if (tokens.length > 0) throw invalidField("prompt", "mixes token ids with other items");
  return prompt
    .filter((item) => typeof item !== "number")
    .map((item) => (typeof item === "string" ? { kind: "text", text: item } : { kind: "tokens", tokens: item }));
}

const DOCS = describeRoute({
  operationId: "createCompletion",
  tag: "OpenAI",
  summary: "Continue a text",
  description:
    "As OpenAI's route, plus llama.cpp's sampling fields. Prompts are texts or lists of token ids; each is " +
    "read once for all of its `n` choices, and choice `j` of prompt `i` has the index `i * n + j`. With `stream: true` the " +
    "answer is server-sent events of the same shape, the choices' mixed, then `[DONE]`.",
  headers: MLO_HEADERS,
  body: {
    schema: "CompletionRequest",
    examples: {
      text: { model: "demo", prompt: "One, two, three,", max_tokens: 16 },
      several: { model: "demo", prompt: ["One, two,", "Red, green,"], n: 2, seed: 1, max_tokens: 16 },
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
