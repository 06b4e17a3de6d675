// How the routes of texts and tokens ask a model: within the request's life, and with the kind of answer that they need.

import { assert } from "../../lib/assert.ts";
import type { TextAnswer, TextQuestion } from "../../protocol/text-question.ts";
import { startWithin } from "../generate.ts";
import type { ApiContext } from "../options.ts";
import { RequestScope } from "../request-scope.ts";

/** Tokens for a question about tokens. */
export async function askTokens(
  api: ApiContext,
  request: Request,
  model: string | undefined,
  question: Extract<TextQuestion, { ask: "tokens" }>,
): Promise<Extract<TextAnswer, { kind: "tokens" }>> {
  const answer = await ask(api, request, model, question);
  assert(answer.kind === "tokens", "a question about tokens is answered with tokens");
  return answer;
}

/** The text for any other. Bytes that are no UTF-8 become U+FFFD. */
export async function askText(
  api: ApiContext,
  request: Request,
  model: string | undefined,
  question: Exclude<TextQuestion, { ask: "tokens" }>,
): Promise<string> {
  const answer = await ask(api, request, model, question);
  assert(answer.kind === "text", "a question about a text is answered with a text");
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(answer.text);
}

async function ask(
  api: ApiContext,
  request: Request,
  model: string | undefined,
  question: TextQuestion,
): Promise<TextAnswer> {
  const scope = new RequestScope(request.signal, api.options.requestTimeoutMs, api.clock);
  const answer = await startWithin(scope, () => api.inference.tell(model, question, scope.signal));
  scope.close();
  return answer;
}
