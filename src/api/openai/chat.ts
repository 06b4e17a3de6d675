// POST /v1/chat/completions: validate → generate → encode.

import type { Elysia } from "elysia";
import { BodyReader } from "../body.ts";
import { CACHE_HEADER_DOCS } from "../cache-report.ts";
import { answerGeneration } from "../generate.ts";
import { readLora } from "../lora-fields.ts";
import { CONVERSATION_HEADERS, readMloFields, readTruncate } from "../mlo-fields.ts";
import type { ApiContext } from "../options.ts";
import { RELAXED_HEADER_DOCS } from "../output-warnings.ts";
import { createId } from "../request-id.ts";
import { describeRoute, INFERENCE_ERRORS } from "../route-docs.ts";
import { RESUME_HEADERS, STREAM_HEADER_DOCS } from "../streams/resume.ts";
import { TRUNCATED_HEADER_DOCS } from "../truncation.ts";
import { readChatRequest } from "./chat-prompt.ts";
import { assertAnswered } from "./continuation.ts";
import { type ChatHead, createChatStream, encodeChat } from "./encode.ts";
import { repeatPerChoice } from "./limits.ts";
import { chooseContextLength } from "./models.ts";
import { ChatRequest } from "./schema.ts";

const bodies = new BodyReader(ChatRequest);

export function addChatRoute(app: Elysia, api: ApiContext): void {
  app.post(
    "/v1/chat/completions",
    async ({ request }) => {
      const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      const card = api.inference.resolveModel(body.model);
      const choices = body.n ?? 1;
      const { request: asked, contract, customTools } = readChatRequest(body, chooseContextLength(card));
      assertAnswered(asked);
      const generation = {
        ...asked,
        ...readMloFields(request.headers, body),
        ...readLora(body),
      };
      return answerGeneration(api, request, {
        model: body.model,
        generations: repeatPerChoice(generation, choices),
        choicesPerPrompt: choices,
        stream: body.stream ?? false,
        contract,
        truncates: readTruncate(request.headers, body) ?? false,
        chooseFormat({ model }) {
          const created = Math.floor(api.clock.wallMs() / 1000);
          const head: ChatHead = { id: createId("chatcmpl-"), created, model: model.id, customTools };
          return {
            encodeWhole: (answers, total) => encodeChat(head, answers, total, body.logprobs === true),
            createStream: () => createChatStream(head, choices, body.stream_options?.include_usage ?? false),
          };
        },
      });
    },
    { detail: DOCS },
  );
}

const DOCS = describeRoute({
  operationId: "createChatCompletion",
  tag: "OpenAI",
  summary: "Answer a conversation",
  description:
    "As OpenAI's route, plus llama.cpp's sampling fields. With `stream: true` the answer is server-sent events: " +
    "chunks, then `[DONE]`; an error after the first byte is a frame with an `error` object, without `[DONE]`. " +
    "The prompt is read once for all `n` choices; their chunks come mixed, told apart by `choices[].index`, and a failure " +
    "of one ends the answer. A last message of the assistant is a beginning: the answer is what comes behind it. Fields that " +
    "we do not know are ignored.",
  headers: [...CONVERSATION_HEADERS, ...RESUME_HEADERS],
  body: {
    schema: "ChatRequest",
    examples: {
      greeting: { model: "demo", messages: [{ role: "user", content: "Hello!" }] },
      streamed: {
        model: "demo",
        messages: [{ role: "user", content: "Count to five." }],
        temperature: 0,
        max_tokens: 64,
        stream: true,
        stream_options: { include_usage: true },
      },
      continued: {
        model: "demo",
        messages: [
          { role: "user", content: "Count from 1 to 10" },
          { role: "assistant", content: "1, 2, 3," },
        ],
        temperature: 0,
        max_tokens: 32,
      },
      choices: { model: "demo", messages: [{ role: "user", content: "Say hello." }], n: 3, seed: 1, max_tokens: 32 },
    },
  },
  reply: {
    schema: "ChatReply",
    description: "The answer.",
    streamSchema: ["ChatChunk", "ErrorReply"],
    streamEnd: "[DONE]",
    headers: { ...CACHE_HEADER_DOCS, ...RELAXED_HEADER_DOCS, ...TRUNCATED_HEADER_DOCS, ...STREAM_HEADER_DOCS },
  },
  errors: INFERENCE_ERRORS,
});
