// POST /api/chat: validate → generate → encode.

import type { Elysia } from "elysia";
import { BodyReader } from "../body.ts";
import { CACHE_HEADER_DOCS } from "../cache-report.ts";
import { CONVERSATION_HEADERS } from "../mlo-fields.ts";
import type { ApiContext } from "../options.ts";
import { RELAXED_HEADER_DOCS } from "../output-warnings.ts";
import { INFERENCE_ERRORS } from "../route-docs.ts";
import { TRUNCATED_HEADER_DOCS } from "../truncation.ts";
import { answerCall } from "./answer.ts";
import { describeOllamaRoute } from "./docs.ts";
import { shapeChat } from "./encode.ts";
import { readChat } from "./prompt.ts";
import { OllamaChatRequest, OPAQUE_FIELDS } from "./schema.ts";

const bodies = new BodyReader(OllamaChatRequest, { opaque: OPAQUE_FIELDS });

export function addOllamaChatRoute(app: Elysia, api: ApiContext): void {
  app.post(
    "/api/chat",
    async ({ request }) => {
      const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      const isEmpty = (body.messages ?? []).length === 0;
      return answerCall(api, request, {
        body,
        readGeneration: isEmpty ? null : (contextLength) => readChat(body, contextLength),
        shape: shapeChat,
      });
    },
    { detail: DOCS },
  );
}

const DOCS = describeOllamaRoute({
  operationId: "ollamaChat",
  summary: "Answer a conversation",
  description:
    "As Ollama's route. The answer is lines of JSON unless `stream` is false; one that fails after the first byte ends " +
    "with a line that has `error`. A tool call comes in one piece, with its arguments as an object; one that the limit " +
    "cut off is left out. Fields that we do not know are ignored.",
  headers: CONVERSATION_HEADERS,
  body: {
    schema: "OllamaChatRequest",
    examples: {
      greeting: { model: "demo", messages: [{ role: "user", content: "Hello!" }], stream: false },
      streamed: {
        model: "demo",
        messages: [{ role: "user", content: "Count to five." }],
        options: { temperature: 0, num_predict: 64 },
        keep_alive: "10m",
      },
      load: { model: "demo" },
    },
  },
  reply: {
    schema: "OllamaChatReply",
    description: "The answer.",
    streamSchema: ["OllamaChatReply", "OllamaErrorReply"],
    headers: { ...CACHE_HEADER_DOCS, ...RELAXED_HEADER_DOCS, ...TRUNCATED_HEADER_DOCS },
  },
  // The last one to who only loads it, when somebody unloads it meanwhile.
  errors: [...INFERENCE_ERRORS, "conflict"],
});
