// POST /apply-template: a conversation as the model's template writes it, without an answer.

import type { Elysia } from "elysia";
import { BodyReader } from "../body.ts";
import { readChatRequest } from "../openai/chat-prompt.ts";
import { chooseContextLength } from "../openai/models.ts";
import { ChatRequest } from "../openai/schema.ts";
import type { ApiContext } from "../options.ts";
import { describeRoute, INFERENCE_ERRORS } from "../route-docs.ts";
import { askText } from "./ask.ts";
import type { ApplyTemplateReply } from "./text-schema.ts";

const bodies = new BodyReader(ChatRequest);

export function addTemplateRoute(app: Elysia, api: ApiContext): void {
  app.post("/apply-template", async ({ request }) => Response.json(await applyTemplate(api, request)), {
    detail: DOCS,
  });
}

async function applyTemplate(api: ApiContext, request: Request): Promise<ApplyTemplateReply> {
  const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
  const card = api.inference.resolveModel(body.model);
  const { prompt } = readChatRequest(body, chooseContextLength(card)).request;
  if (prompt.kind !== "chat") throw new Error("a chat request is read as a chat");
  return { prompt: await askText(api, request, body.model, { ask: "prompt", prompt }) };
}

const DOCS = describeRoute({
  operationId: "applyTemplate",
  tag: "llama.cpp",
  summary: "Show a conversation as the model gets it",
  description:
    "The body is that of `/v1/chat/completions`; of it counts what shapes the prompt. Sent to `/v1/completions`, changed or " +
    "not, the text is read as the chat would have been: control tokens are read out of it, and a BOS that the template " +
    "leaves to the tokenizer is added there.",
  body: {
    schema: "ChatRequest",
    examples: {
      greeting: { model: "demo", messages: [{ role: "user", content: "Hello!" }] },
    },
  },
  reply: { schema: "ApplyTemplateReply", description: "The prompt." },
  errors: INFERENCE_ERRORS,
});
