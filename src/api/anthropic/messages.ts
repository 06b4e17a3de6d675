// POST /v1/messages: validate → generate → encode.

import type { Elysia } from "elysia";
import { assert } from "../../lib/assert.ts";
import { BodyReader } from "../body.ts";
import { CACHE_HEADER_DOCS } from "../cache-report.ts";
import { type Accepted, type AnswerFormat, answerGeneration } from "../generate.ts";
import { readLora } from "../lora-fields.ts";
import { CONVERSATION_HEADERS, readMloFields, readTruncate } from "../mlo-fields.ts";
import { chooseContextLength } from "../openai/models.ts";
import type { ApiContext } from "../options.ts";
import { RELAXED_HEADER_DOCS } from "../output-warnings.ts";
import { createId, requestIdOf } from "../request-id.ts";
import { describeRoute, INFERENCE_ERRORS } from "../route-docs.ts";
import { RESUME_HEADERS, STREAM_HEADER_DOCS } from "../streams/resume.ts";
import { TRUNCATED_HEADER_DOCS } from "../truncation.ts";
import { ERROR_FORMAT } from "./documentation.ts";
import { encodeMessage, type MessageTerms } from "./encode.ts";
import { readMessageRequest, showsThinking } from "./prompt.ts";
import { nameConversation, readCacheLifetime } from "./retention.ts";
import { MessageRequest, OPAQUE_FIELDS } from "./schema.ts";
import { createMessageStream } from "./stream.ts";

const bodies = new BodyReader(MessageRequest, { opaque: OPAQUE_FIELDS });

export function addMessageRoute(app: Elysia, api: ApiContext): void {
  app.post(
    "/v1/messages",
    async ({ request }) => {
      const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      const card = api.inference.resolveModel(body.model);
      const { request: asked, prompt, contract } = readMessageRequest(body, chooseContextLength(card));
      const generation = {
        ...asked,
        ...nameConversation(body, prompt),
        ...readMloFields(request.headers, body),
        ...readLora(body),
      };
      const isKept = generation.cache?.keep !== false;
      return answerGeneration(api, request, {
        model: body.model,
        generations: [generation],
        choicesPerPrompt: 1,
        stream: body.stream ?? false,
        contract,
        truncates: readTruncate(request.headers, body) ?? false,
        chooseFormat: (accepted) => chooseFormat(body, accepted, isKept, requestIdOf(request)),
      });
    },
    { detail: DOCS },
  );
}

function chooseFormat(body: MessageRequest, accepted: Accepted, isKept: boolean, requestId: string): AnswerFormat {
  const shown = body.thinking?.display === "omitted" ? "omitted" : "shown";
  const terms: MessageTerms = {
    id: createId(""),
    model: accepted.model.id,
    stopSequences: body.stop_sequences ?? [],
    maxTokens: body.max_tokens,
    thinking: showsThinking(body) ? shown : "none",
    cacheLifetime: isKept ? readCacheLifetime(body) : null,
  };
  return {
    encodeWhole([answer], total) {
      assert(answer !== undefined, "a message has one answer");
      return encodeMessage(terms, answer, total);
    },
    createStream: () => createMessageStream(terms, accepted, requestId),
  };
}

const DOCS = describeRoute({
  operationId: "createMessage",
  tag: "Anthropic",
  summary: "Answer a conversation, as Anthropic's API does",
  description:
    "With `stream: true` the answer is server-sent events: `message_start`, then for each block `content_block_start`, " +
    "`content_block_delta` and `content_block_stop`, then `message_delta` and `message_stop`; `ping` in between; an " +
    "error after the first byte is an `error` event. A key, `anthropic-beta` and `anthropic-version` are taken and not " +
    "looked at. Fields that we do not know are ignored. llama.cpp's sampling fields work here too.",
  headers: [...CONVERSATION_HEADERS, ...RESUME_HEADERS],
  body: {
    schema: "MessageRequest",
    examples: {
      greeting: { model: "demo", max_tokens: 64, messages: [{ role: "user", content: "Hello!" }] },
      streamed: {
        model: "demo",
        max_tokens: 64,
        temperature: 0,
        system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
        messages: [{ role: "user", content: [{ type: "text", text: "Count from 1 to 10" }] }],
        stream: true,
      },
      tools: {
        model: "demo",
        max_tokens: 64,
        temperature: 0,
        messages: [{ role: "user", content: "What is the weather in Paris?" }],
        tools: [
          {
            name: "get_weather",
            description: "Get the current weather of a city",
            input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
          },
        ],
      },
    },
  },
  reply: {
    schema: "MessageReply",
    description: "The answer.",
    streamSchema: "MessageEvent",
    headers: { ...CACHE_HEADER_DOCS, ...RELAXED_HEADER_DOCS, ...TRUNCATED_HEADER_DOCS, ...STREAM_HEADER_DOCS },
  },
  errors: INFERENCE_ERRORS,
  errorFormat: ERROR_FORMAT,
});
