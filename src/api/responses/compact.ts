// POST /v1/responses/compact: a conversation made shorter. The model writes a summary of it, which goes to the client as an
// item that it sends back in place of all but the user's messages. Nothing is stored.

import type { Elysia } from "elysia";
import { AppError } from "../../protocol/errors.ts";
import type { ChatMessage } from "../../protocol/generation.ts";
import { BodyReader } from "../body.ts";
import { CACHE_HEADER_DOCS, countCached, encodeMlo } from "../cache-report.ts";
import type { Ending } from "../ending.ts";
import { type Answer, answerGeneration } from "../generate.ts";
import { CONVERSATION_HEADERS, readTruncate } from "../mlo-fields.ts";
import { chooseContextLength } from "../openai/models.ts";
import type { ApiContext } from "../options.ts";
import { createId } from "../request-id.ts";
import { describeRoute, INFERENCE_ERRORS } from "../route-docs.ts";
import { TRUNCATED_HEADER_DOCS } from "../truncation.ts";
import { type Context, readContext } from "./context.ts";
import { toMessages } from "./item-messages.ts";
import { ID_PREFIXES, sealText } from "./items.ts";
import type { CompactReply, Item } from "./reply-schema.ts";
import { CompactRequest } from "./schema.ts";

/** A summary's part of the context at most: what goes on from it needs the rest. */
const SUMMARY_SHARE = 1 / 4;

const ASK: ChatMessage = {
  role: "user",
  content:
    "The conversation above is about to be replaced by a summary, which you write now. Someone who knows nothing else must " +
    "be able to go on from it: say what is wanted, what was done and found so far (names, paths, values and errors exactly " +
    "as they were), what was decided and why, and what is left to do. Write the summary alone. Call no tools.",
};

const bodies = new BodyReader(CompactRequest);

export function addCompactRoute(app: Elysia, api: ApiContext): void {
  app.post(
    "/v1/responses/compact",
    async ({ request }) => {
      const body = await bodies.read(request, api.options.bodyBytesMax, api.clock);
      const context = readContext(api.state, body);
      const contextLength = chooseContextLength(api.inference.resolveModel(body.model));
      const messages = [...toMessages(body.instructions, [...context.history, ...context.input]), ASK];
      const generation = {
        prompt: { kind: "chat" as const, messages },
        sampling: {},
        stop: [],
        maxTokens: Math.max(1, Math.floor(contextLength * SUMMARY_SHARE)),
        // Nobody goes on from this prompt.
        cache: { keep: false },
      };
      return answerGeneration(api, request, {
        model: body.model,
        generations: [generation],
        choicesPerPrompt: 1,
        stream: false,
        truncates: readTruncate(request.headers, body) ?? false,
        chooseFormat: () => ({
          encodeWhole: ([summary], total) => encode(api, context, summary, total),
          createStream: () => {
            throw new Error("a compaction has no stream");
          },
        }),
      });
    },
    { detail: DOCS },
  );
}

function encode(
  api: ApiContext,
  { history, input }: Context,
  summary: Answer | undefined,
  total: Ending,
): CompactReply {
  const text = summary?.text.trim() ?? "";
  if (text === "") {
    const hint = "Try again, or with another model.";
    throw new AppError({ code: "internal", message: "the model wrote no summary", hint });
  }
  const compaction: Item = {
    type: "compaction",
    id: createId(ID_PREFIXES.compaction),
    encrypted_content: sealText(text),
  };
  const isUsers = (item: Item) => item.type === "message" && item.role === "user";
  const { usage, cache } = total;
  return {
    id: createId("resp_"),
    object: "response.compaction",
    created_at: Math.floor(api.clock.wallMs() / 1000),
    output: [...history.filter(isUsers), ...input.filter(isUsers), compaction],
    usage: {
      input_tokens: usage.promptTokens,
      input_tokens_details: { cached_tokens: countCached(cache) },
      output_tokens: usage.completionTokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: usage.promptTokens + usage.completionTokens,
    },
    mlo: { ...encodeMlo(total), ...(summary?.finishReason === "length" ? { warnings: [SUMMARY_CUT] } : {}) },
  };
}

const SUMMARY_CUT = {
  code: "summary_cut" as const,
  path: "output",
  message: "the summary reached a quarter of the context and was cut off there",
};

const DOCS = describeRoute({
  operationId: "compactConversation",
  tag: "OpenAI",
  summary: "Make a conversation shorter",
  description:
    "The model writes a summary of the input and of what it continues. The output is the user's messages and a `compaction` " +
    "item, which holds the summary in base64: sent as input, with what is new, the conversation goes on from there. " +
    "Nothing is stored. A conversation that is too long even for this is refused with its numbers; with " +
    "`X-MLO-Truncate: auto` its oldest turns are left out of the summary.",
  headers: CONVERSATION_HEADERS,
  body: {
    schema: "CompactRequest",
    examples: {
      conversation: {
        model: "demo",
        input: [
          { role: "user", content: "What is 7 + 8?" },
          { role: "assistant", content: "15" },
        ],
      },
    },
  },
  reply: {
    schema: "CompactReply",
    description: "What to send from now on.",
    headers: { ...CACHE_HEADER_DOCS, ...TRUNCATED_HEADER_DOCS },
  },
  errors: [...INFERENCE_ERRORS, "not_found", "storage_unavailable"],
});
