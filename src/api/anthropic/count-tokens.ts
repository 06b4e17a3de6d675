// POST /v1/messages/count_tokens: how many tokens a prompt has, by the model's own template and tokenizer. Nothing is
// computed, and a prompt may be longer than the context: clients ask in order to shorten it.

import type { Elysia } from "elysia";
import { BodyReader } from "../body.ts";
import { startWithin } from "../generate.ts";
import type { ApiContext } from "../options.ts";
import { RequestScope } from "../request-scope.ts";
import { describeRoute, INFERENCE_ERRORS } from "../route-docs.ts";
import { ERROR_FORMAT } from "./documentation.ts";
import { readPrompt } from "./prompt.ts";
import type { CountTokensReply } from "./reply-schema.ts";
import { CountTokensRequest, OPAQUE_FIELDS } from "./schema.ts";

const bodies = new BodyReader(CountTokensRequest, { opaque: OPAQUE_FIELDS });

export function addCountTokensRoute(app: Elysia, api: ApiContext): void {
  app.post(
    "/v1/messages/count_tokens",
    async ({ request }) => {
      const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      const counted = { prompt: readPrompt(body).prompt, sampling: {}, stop: [], countOnly: true };
      const scope = new RequestScope(request.signal, api.options.requestTimeoutMs, api.clock);
      const { promptTokens } = await startWithin(scope, () =>
        api.inference.generate(body.model, counted, scope.signal),
      );
      scope.close();
      return Response.json({ input_tokens: promptTokens } satisfies CountTokensReply);
    },
    { detail: DOCS },
  );
}

const DOCS = describeRoute({
  operationId: "countMessageTokens",
  tag: "Anthropic",
  summary: "Count the tokens of a conversation",
  description: "Tools and the model's chat template are counted too. The model is loaded for it if need be.",
  body: {
    schema: "CountTokensRequest",
    examples: { greeting: { model: "demo", messages: [{ role: "user", content: "Hello!" }] } },
  },
  reply: { schema: "CountTokensReply", description: "The number of tokens." },
  errors: INFERENCE_ERRORS.filter((code) => code !== "context_length_exceeded"),
  errorFormat: ERROR_FORMAT,
});
