// POST /v1/responses/input_tokens: how many tokens a request's prompt would have. Nothing is computed or stored.

import type { Elysia } from "elysia";
import { BodyReader } from "../body.ts";
import { startWithin } from "../generate.ts";
import type { ApiContext } from "../options.ts";
import { RequestScope } from "../request-scope.ts";
import { describeRoute, INFERENCE_ERRORS } from "../route-docs.ts";
import { readContext } from "./context.ts";
import { buildPrompt } from "./plan.ts";
import type { InputTokensReply } from "./reply-schema.ts";
import { InputTokensRequest } from "./schema.ts";

const bodies = new BodyReader(InputTokensRequest);

export function addInputTokensRoute(app: Elysia, api: ApiContext): void {
  app.post(
    "/v1/responses/input_tokens",
    async ({ request }) => {
      const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      const { prompt } = buildPrompt(body, readContext(api.state, body));
      const scope = new RequestScope(request.signal, api.options.requestTimeoutMs, api.clock);
      const generation = { prompt, sampling: {}, stop: [], countOnly: true };
      const counted = await startWithin(scope, () => api.inference.generate(body.model, generation, scope.signal));
      for await (const _ of counted.events) {
        // Only the count is wanted; read to the end, the request is over.
      }
      scope.close();
      const reply: InputTokensReply = { object: "response.input_tokens", input_tokens: counted.promptTokens };
      return Response.json(reply);
    },
    { detail: DOCS },
  );
}

const DOCS = describeRoute({
  operationId: "countResponseInput",
  tag: "OpenAI",
  summary: "Count a prompt's tokens",
  description: "The prompt that `POST /v1/responses` would make of the same fields, with what it continues.",
  body: { schema: "InputTokensRequest", examples: { text: { model: "demo", input: "Say hello in one sentence" } } },
  reply: { schema: "InputTokensReply", description: "The number." },
  errors: [...INFERENCE_ERRORS, "not_found", "storage_unavailable"],
});
