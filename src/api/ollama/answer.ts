// What /api/chat and /api/generate share: names, `keep_alive`, loading without a prompt, and the way to the answer.

import { assert } from "../../lib/assert.ts";
import type { ModelCard } from "../../router/inference.ts";
import { answerGeneration, startWithin } from "../generate.ts";
import { readMloFields, readTruncate } from "../mlo-fields.ts";
import { chooseContextLength } from "../openai/models.ts";
import type { ApiContext } from "../options.ts";
import { createId } from "../request-id.ts";
import { RequestScope } from "../request-scope.ts";
import { createLines, encodeAnswer, encodeLoad, type LineHead, type Shape } from "./encode.ts";
import { readKeepAlive } from "./keep-alive.ts";
import { resolveTagged } from "./names.ts";
import type { ReadCall } from "./prompt.ts";
import type { OllamaChatRequest, OllamaGenerateRequest } from "./schema.ts";

type Body = OllamaChatRequest | OllamaGenerateRequest;

export interface Call {
  body: Body;
  /** Null: there is no prompt, so the model is only loaded or unloaded. */
  readGeneration: ((contextLength: number) => ReadCall) | null;
  shape: Shape;
}

export async function answerCall(
  api: ApiContext,
  request: Request,
  { body, readGeneration, shape }: Call,
): Promise<Response> {
  const startedMs = api.clock.monotonicMs();
  const card = resolveTagged(api, body.model ?? body.name);
  const idleMs = readKeepAlive(body.keep_alive);
  // Before anything is done: also a load is refused for a header that says nothing.
  const mlo = readMloFields(request.headers, {});
  const truncates = readTruncate(request.headers, {}) ?? false;
  const head: LineHead = {
    model: body.model ?? body.name ?? card.id,
    now: () => new Date(api.clock.wallMs()).toISOString(),
    totalMs: () => api.clock.monotonicMs() - startedMs,
    loadMs: 0,
    id: createId("call_"),
  };
  if (readGeneration === null) {
    return Response.json(encodeLoad(head, shape, await loadOrUnload(api, request, card, idleMs)));
  }
  const { request: asked, contract } = readGeneration(chooseContextLength(card));
  return answerGeneration(api, request, {
    model: card.id,
    generations: [{ ...asked, ...mlo }],
    choicesPerPrompt: 1,
    stream: body.stream ?? true,
    contract,
    truncates,
    chooseFormat({ model }) {
      // Now that its engine runs: it ends with that.
      if (idleMs !== undefined) api.inference.keepFor(card, idleMs);
      const timed = { ...head, loadMs: measureLoad(card, model) };
      return {
        encodeWhole([answer], total) {
          assert(answer !== undefined, "a request without choices has one answer");
          return encodeAnswer(timed, shape, answer, total);
        },
        createStream: () => createLines(timed, shape),
      };
    },
  });
}

/** What a load took, if the request had to wait for one. */
export function measureLoad(before: ModelCard, after: ModelCard): number {
  return before.state === "loaded" ? 0 : (after.info?.loadMs ?? 0);
}

/** A model without anything to do, as clients load one ahead, or give its memory back. */
export async function loadOrUnload(
  api: ApiContext,
  request: Request,
  card: ModelCard,
  idleMs: number | null | undefined,
): Promise<"load" | "unload"> {
  if (idleMs === 0) {
    api.inference.keepFor(card, 0);
    return "unload";
  }
  const scope = new RequestScope(request.signal, api.options.requestTimeoutMs, api.clock);
  await startWithin(scope, () => api.inference.load(card.id, scope.signal));
  scope.close();
  if (idleMs !== undefined) api.inference.keepFor(card, idleMs);
  return "load";
}
