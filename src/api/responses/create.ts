// POST /v1/responses: validate → plan → run. In one piece, as a stream, or in the background.

import type { Elysia } from "elysia";
import { BodyReader } from "../body.ts";
import { CACHE_HEADER_DOCS } from "../cache-report.ts";
import { type FrameSource, streamFrames } from "../frame-stream.ts";
import { CONVERSATION_HEADERS } from "../mlo-fields.ts";
import { chooseContextLength } from "../openai/models.ts";
import { type ApiContext, streamOptions } from "../options.ts";
import { RELAXED_HEADER_DOCS } from "../output-warnings.ts";
import { RequestScope } from "../request-scope.ts";
import { describeRoute, INFERENCE_ERRORS } from "../route-docs.ts";
import { OPENAI_WIRE } from "../stream-wire.ts";
import { TRUNCATED_HEADER_DOCS } from "../truncation.ts";
import type { ResponseArchive } from "./archive.ts";
import type { BackgroundRuns } from "./background.ts";
import { ResponseBuilder } from "./builder.ts";
import { readContext } from "./context.ts";
import { encodeFrame, followLog } from "./event-log.ts";
import { planResponse, refuseUnsupported } from "./plan.ts";
import type { ResponseEvent } from "./reply-schema.ts";
import { type ResponseRun, startRun } from "./run.ts";
import { ResponseRequest } from "./schema.ts";

const bodies = new BodyReader(ResponseRequest);

export function addCreateRoute(
  app: Elysia,
  api: ApiContext,
  archive: ResponseArchive,
  background: BackgroundRuns,
): void {
  app.post(
    "/v1/responses",
    async ({ request }) => {
      const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      refuseUnsupported(body);
      const card = api.inference.resolveModel(body.model);
      const plan = planResponse(body, readContext(api.state, body), {
        contextLength: chooseContextLength(card),
        model: card.id,
        headers: request.headers,
        wallMs: api.clock.wallMs(),
      });
      const streams = body.stream ?? false;
      if (body.background === true) {
        const run = background.start(plan, body.model);
        return streams ? streamFrames(followLog(run.log, -1), streamOptions(api)) : Response.json(run.reply);
      }
      const builder = new ResponseBuilder(plan.reply, plan);
      const scope = new RequestScope(request.signal, api.options.requestTimeoutMs, api.clock);
      const settle = () => archive.settle(plan, builder);
      const run = await startRun({ api, model: body.model, plan, builder, scope, settle });
      return streams ? stream(api, run) : await collect(run, builder);
    },
    { detail: DOCS },
  );
}

async function collect(run: ResponseRun, builder: ResponseBuilder): Promise<Response> {
  run.begin();
  while ((await run.next()) !== null);
  if (run.failure !== null) throw run.failure;
  return Response.json(builder.reply, { headers: run.headers });
}

function stream(api: ApiContext, run: ResponseRun): Response {
  const response = streamFrames(readFrames(run), streamOptions(api));
  for (const [name, value] of run.headers) response.headers.set(name, value);
  return response;
}

function readFrames(run: ResponseRun): FrameSource {
  const encode = (events: readonly ResponseEvent[]) => events.map(encodeFrame).join("");
  return {
    keepAlive: OPENAI_WIRE.keepAlive,
    open: () => encode(run.begin()),
    async next() {
      const events = await run.next();
      return { text: events === null ? "" : encode(events), ended: run.ended };
    },
    abandon: (reason) => run.abandon(reason),
  };
}

const WEATHER_TOOL = {
  type: "function",
  name: "get_weather",
  description: "Get the current weather of a city",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

const DOCS = describeRoute({
  operationId: "createResponse",
  tag: "OpenAI",
  summary: "Answer, and remember the conversation",
  description:
    "As OpenAI's route. What a stored response continues (`previous_response_id`, `conversation`) is not read anew: its " +
    "state is kept under the conversation's name. With `stream: true` the answer is server-sent events, each with its " +
    "name and a `sequence_number`; the last one is `response.completed`, `response.incomplete` or `response.failed`. " +
    "With `background: true` the answer is made without the client: GET it, also as a stream. Tools that OpenAI " +
    "hosts are left out, with a warning in `mlo.warnings`. Fields that we do not know are ignored.",
  headers: CONVERSATION_HEADERS,
  body: {
    schema: "ResponseRequest",
    examples: {
      text: { model: "demo", input: "Say hello in one sentence", temperature: 0 },
      streamed: { model: "demo", input: "Count from 1 to 10", temperature: 0, stream: true, store: false },
      items: {
        model: "demo",
        instructions: "You are brief.",
        input: [{ role: "user", content: [{ type: "input_text", text: "What is 7 + 8?" }] }],
        max_output_tokens: 32,
      },
      tools: { model: "demo", input: "What is the weather in Paris?", temperature: 0, tools: [WEATHER_TOOL] },
      background: { model: "demo", input: "Count from 1 to 10", background: true },
    },
  },
  reply: {
    schema: "ResponseReply",
    description: "The response; in the background as it is at its beginning.",
    streamSchema: "ResponseEvent",
    headers: { ...CACHE_HEADER_DOCS, ...RELAXED_HEADER_DOCS, ...TRUNCATED_HEADER_DOCS },
  },
  errors: [...INFERENCE_ERRORS, "not_found", "storage_unavailable"],
});
