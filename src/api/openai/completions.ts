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
import { RESUME_HEADERS, STREAM_HEADER_DOCS } from "../streams/resume.ts";
import { chooseBest, readCandidates } from "./best-of.ts";
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
      const choices = body.n ?? 1;
      const candidates = readCandidates(body);
      const choice = { candidates, choices, echo: body.echo === true, scored: body.logprobs !== undefined };
      const mlo = { ...readMloFields(request.headers, body), ...readLora(body) };
      return answerGeneration(api, request, {
        model: body.model,
        generations: readCompletionRequests(body, candidates, chooseContextLength(card)).flatMap((generation) =>
          repeatPerChoice({ ...generation, ...mlo }, candidates),
        ),
        choicesPerPrompt: candidates,
        stream: body.stream ?? false,
        chooseFormat({ model }) {
          const created = Math.floor(api.clock.wallMs() / 1000);
          const head: AnswerHead = { id: createId("cmpl-"), created, model: model.id };
          return {
            encodeWhole: (answers, total) =>
              encodeCompletion(head, chooseBest(answers, choice), total, body.logprobs !== undefined),
            createStream: () => createCompletionStream(head, body.stream_options?.include_usage ?? false),
          };
        },
      });
    },
    { detail: DOCS },
  );
}

/** One request per prompt. */
function readCompletionRequests(
  body: CompletionRequest,
  candidates: number,
  contextLength: number,
): GenerationRequest[] {
  if (body.echo === true && hasSuffix(body)) refuse("echo", "with `suffix` it is not");
  const limit = readTokenLimit("max_tokens", body.max_tokens, body.echo);
  const prompts = readPrompts(body.prompt).map((prompt) => addSuffix(prompt, body.suffix, limit));
  if (prompts.length * candidates > CHOICES_MAX) {
    const each = body.best_of === undefined ? "n" : "best_of";
    const asked = `asks for ${prompts.length * candidates} choices with \`${each}\` ${candidates}`;
    throw invalidField("prompt", `${asked}, at most ${CHOICES_MAX} are generated at once`);
  }
  // The best are found by them.
  const logprobs = body.logprobs ?? (candidates > (body.n ?? 1) ? 0 : undefined);
  const common = {
    sampling: readSampling(body, contextLength),
    stop: readStops(body.stop),
    ...(limit === undefined ? {} : { maxTokens: limit }),
    ...(body.echo === true ? { echo: true } : {}),
    ...(logprobs === undefined ? {} : { logprobs }),
  };
  return prompts.map((prompt) => ({ prompt, ...common }));
}

function hasSuffix({ suffix }: Pick<CompletionRequest, "suffix">): boolean {
  return suffix !== undefined && suffix !== "";
}

/** A prompt with a suffix is a text with a gap. */
function addSuffix(prompt: Prompt, suffix: string | undefined, limit: number | undefined): Prompt {
  if (suffix === undefined || suffix === "") return prompt;
  if (prompt.kind !== "text") throw invalidField("suffix", "needs prompts that are texts, not token ids");
  return { kind: "infill", prefix: prompt.text, suffix, prompt: "", extra: [], answerTokens: limit ?? 0 };
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
    "answer is server-sent events of the same shape, the choices' mixed, then `[DONE]`. `echo` with `logprobs` and " +
    "`max_tokens: 0` scores a text: such a prompt is read anew, whatever is kept of it. With `best_of` more answers are " +
    "generated than `n`, and those with the best mean log probability are sent, the best first; `usage` counts all.",
  headers: [...MLO_HEADERS, ...RESUME_HEADERS],
  body: {
    schema: "CompletionRequest",
    examples: {
      text: { model: "demo", prompt: "One, two, three,", max_tokens: 16 },
      scored: { model: "demo", prompt: "One, two, three,", echo: true, logprobs: 1, max_tokens: 0 },
      several: { model: "demo", prompt: ["One, two,", "Red, green,"], n: 2, seed: 1, max_tokens: 16 },
      best: { model: "demo", prompt: "One, two,", best_of: 4, temperature: 1, seed: 1, max_tokens: 16 },
      streamed: { model: "demo", prompt: "One, two, three,", max_tokens: 16, temperature: 0, stream: true },
    },
  },
  reply: {
    schema: "CompletionReply",
    description: "The continuation.",
    streamSchema: ["CompletionReply", "ErrorReply"],
    streamEnd: "[DONE]",
    headers: { ...CACHE_HEADER_DOCS, ...STREAM_HEADER_DOCS },
  },
  errors: INFERENCE_ERRORS,
});
