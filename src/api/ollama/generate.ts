// POST /api/generate: validate → generate → encode.

import type { Elysia } from "elysia";
import { BodyReader } from "../body.ts";
import { CACHE_HEADER_DOCS } from "../cache-report.ts";
import { MLO_HEADERS } from "../mlo-fields.ts";
import type { ApiContext } from "../options.ts";
import { RELAXED_HEADER_DOCS } from "../output-warnings.ts";
import { INFERENCE_ERRORS } from "../route-docs.ts";
import { answerCall } from "./answer.ts";
import { describeOllamaRoute } from "./docs.ts";
import { shapeGenerate } from "./encode.ts";
import { readGenerate } from "./prompt.ts";
import { OllamaGenerateRequest, OPAQUE_FIELDS } from "./schema.ts";

const bodies = new BodyReader(OllamaGenerateRequest, { opaque: OPAQUE_FIELDS });

export function addOllamaGenerateRoute(app: Elysia, api: ApiContext): void {
  app.post(
    "/api/generate",
    async ({ request }) => {
      const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      const isEmpty = (body.prompt ?? "") === "" && (body.suffix ?? "") === "";
      return answerCall(api, request, {
        body,
        readGeneration: isEmpty ? null : (contextLength) => readGenerate(body, contextLength),
        shape: shapeGenerate,
      });
    },
    { detail: DOCS },
  );
}

const DOCS = describeOllamaRoute({
  operationId: "ollamaGenerate",
  summary: "Answer a prompt",
  description:
    "As Ollama's route: the prompt is a user's message to the model's chat template, with `raw` it is the text itself, " +
    "and with `suffix` the model fills the gap between them. The answer is lines of JSON unless `stream` is false.",
  headers: MLO_HEADERS,
  body: {
    schema: "OllamaGenerateRequest",
    examples: {
      plain: { model: "demo", prompt: "Hello!", stream: false },
      raw: { model: "demo", prompt: "One, two, three,", raw: true, options: { temperature: 0, num_predict: 16 } },
      load: { model: "demo", keep_alive: "10m" },
    },
  },
  reply: {
    schema: "OllamaGenerateReply",
    description: "The answer.",
    streamSchema: ["OllamaGenerateReply", "OllamaErrorReply"],
    headers: { ...CACHE_HEADER_DOCS, ...RELAXED_HEADER_DOCS },
  },
  // The last one to who only loads it, when somebody unloads it meanwhile.
  errors: [...INFERENCE_ERRORS, "conflict"],
});
