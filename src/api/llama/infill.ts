// POST /infill: a text with a gap → what stands in it. The answer is that of /v1/completions, with `content` and
// `stop` as llama.cpp's server has them.

import type { Elysia } from "elysia";
import type { GenerationRequest } from "../../protocol/generation.ts";
import { BodyReader } from "../body.ts";
import { CACHE_HEADER_DOCS } from "../cache-report.ts";
import { answerGeneration } from "../generate.ts";
import { readLora } from "../lora-fields.ts";
import { MLO_HEADERS, readMloFields } from "../mlo-fields.ts";
import { type AnswerHead, createCompletionStream, encodeCompletion } from "../openai/encode.ts";
import { readStops, readTokenLimit, repeatPerChoice } from "../openai/limits.ts";
import { chooseContextLength } from "../openai/models.ts";
import type { CompletionReply } from "../openai/reply-schema.ts";
import { readSampling } from "../openai/sampling.ts";
import type { ApiContext } from "../options.ts";
import { createId } from "../request-id.ts";
import { describeRoute, INFERENCE_ERRORS } from "../route-docs.ts";
import type { StreamEncoder } from "../sse.ts";
import { RESUME_HEADERS, STREAM_HEADER_DOCS } from "../streams/resume.ts";
import { type InfillReply, InfillRequest } from "./schema.ts";

const bodies = new BodyReader(InfillRequest);

export function addInfillRoute(app: Elysia, api: ApiContext): void {
  app.post(
    "/infill",
    async ({ request }) => {
      const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      const card = api.inference.resolveModel(body.model);
      const choicesPerPrompt = body.n ?? 1;
      const generation = {
        ...readInfillRequest(body, chooseContextLength(card)),
        ...readMloFields(request.headers, body),
        ...readLora(body),
      };
      return answerGeneration(api, request, {
        model: body.model,
        generations: repeatPerChoice(generation, choicesPerPrompt),
        choicesPerPrompt,
        stream: body.stream ?? false,
        chooseFormat({ model }) {
          const created = Math.floor(api.clock.wallMs() / 1000);
          const head: AnswerHead = { id: createId("cmpl-"), created, model: model.id };
          const includeUsage = body.stream_options?.include_usage ?? false;
          return {
            encodeWhole: (answers, total) => addContent(encodeCompletion(head, answers, total), true),
            createStream: () => addContentToStream(createCompletionStream(head, includeUsage)),
          };
        },
      });
    },
    { detail: DOCS },
  );
}

function readInfillRequest(body: InfillRequest, contextLength: number): GenerationRequest {
  const name = body.n_predict === undefined ? "max_tokens" : "n_predict";
  // Editors send requests without an answer ahead, so that what surrounds the gap is read when it counts.
  const limit = readTokenLimit(name, body[name], true);
  const extra = (body.input_extra ?? []).map(({ filename, text }) => ({ filename: filename ?? "tmp", text }));
  return {
    prompt: {
      kind: "infill",
      prefix: body.input_prefix,
      suffix: body.input_suffix,
      prompt: body.prompt ?? "",
      extra,
      answerTokens: limit ?? 0,
    },
    sampling: readSampling(body, contextLength),
    stop: readStops(body.stop),
    ...(limit === undefined ? {} : { maxTokens: limit }),
  };
}

function addContent(reply: CompletionReply, stop: boolean): InfillReply {
  return { ...reply, content: reply.choices[0]?.text ?? "", stop };
}

/** The last choice ends with `total`; its last chunk may be the usage. */
function addContentToStream(encoder: StreamEncoder): StreamEncoder {
  return {
    open: () => encoder.open(),
    encode(choice, event, total) {
      const chunks = encoder.encode(choice, event, total) as CompletionReply[];
      return chunks.map((chunk, at) => addContent(chunk, total !== null && at === chunks.length - 1));
    },
  };
}

const DOCS = describeRoute({
  operationId: "createInfill",
  tag: "llama.cpp",
  summary: "Fill a gap in a text",
  description:
    "For models that were trained for it: one without the tokens for it is refused with their names. The prompt is laid " +
    "out as llama.cpp's server does it. A prefix keeps its end and a suffix its beginning, three quarters and one quarter of " +
    "`--batch-size` at most; other files take what is left of the context. The answer has the shape of `/v1/completions`, " +
    "and `content` and `stop` besides; streamed it ends with `[DONE]`.",
  headers: [...MLO_HEADERS, ...RESUME_HEADERS],
  body: {
    schema: "InfillRequest",
    examples: {
      function: { model: "demo", input_prefix: "def add(a, b):\n    return ", input_suffix: "\n", n_predict: 16 },
      files: {
        model: "demo",
        input_extra: [{ filename: "util.py", text: "def twice(x):\n    return 2 * x\n" }],
        input_prefix: "from util import twice\n\nprint(",
        prompt: "twice(",
        input_suffix: ")\n",
        n_predict: 16,
        stream: true,
      },
    },
  },
  reply: {
    schema: "InfillReply",
    description: "What stands in the gap.",
    streamSchema: ["InfillReply", "ErrorReply"],
    streamEnd: "[DONE]",
    headers: { ...CACHE_HEADER_DOCS, ...STREAM_HEADER_DOCS },
  },
  errors: INFERENCE_ERRORS,
});
