// POST /tokenize and /detokenize: a text as the model's tokens, and tokens as their text.

import { isUtf8 } from "node:buffer";
import type { Elysia } from "elysia";
import { BodyReader } from "../body.ts";
import type { ApiContext } from "../options.ts";
import { describeRoute, INFERENCE_ERRORS } from "../route-docs.ts";
import { askText, askTokens } from "./ask.ts";
import { type DetokenizeReply, DetokenizeRequest, type TokenizeReply, TokenizeRequest } from "./text-schema.ts";

const tokenizeBodies = new BodyReader(TokenizeRequest);
const detokenizeBodies = new BodyReader(DetokenizeRequest);

export function addTokenRoutes(app: Elysia, api: ApiContext): void {
  app.post("/tokenize", async ({ request }) => Response.json(await tokenize(api, request)), { detail: TOKENIZE_DOCS });
  app.post("/detokenize", async ({ request }) => Response.json(await detokenize(api, request)), {
    detail: DETOKENIZE_DOCS,
  });
}

async function tokenize(api: ApiContext, request: Request): Promise<TokenizeReply> {
  const body = await tokenizeBodies.read(request, api.options.bodyBytesMax, api.clock);
  api.inference.resolveModel(body.model);
  const { tokens, pieces } = await askTokens(api, request, body.model, {
    ask: "tokens",
    content: typeof body.content === "string" ? [body.content] : body.content,
    addSpecial: body.add_special ?? false,
    parseSpecial: body.parse_special ?? true,
    withPieces: body.with_pieces ?? false,
  });
  if (pieces === null) return { tokens: Array.from(tokens) };
  return { tokens: pieces.map((piece, index) => ({ id: tokens[index] ?? 0, piece: encodePiece(piece) })) };
}

/** A part of a character can't stand in JSON as text. */
function encodePiece(piece: Uint8Array): string | number[] {
  return isUtf8(piece) ? Buffer.from(piece).toString("utf8") : Array.from(piece);
}

async function detokenize(api: ApiContext, request: Request): Promise<DetokenizeReply> {
  const body = await detokenizeBodies.read(request, api.options.bodyBytesMax, api.clock);
  api.inference.resolveModel(body.model);
  return { content: await askText(api, request, body.model, { ask: "text", tokens: body.tokens }) };
}

const TOKENIZE_DOCS = describeRoute({
  operationId: "tokenize",
  tag: "llama.cpp",
  summary: "Turn a text into tokens",
  description:
    "As llama.cpp's server does it. The model is loaded for it, but nothing is computed and no place is needed.",
  body: {
    schema: "TokenizeRequest",
    examples: {
      ids: { model: "demo", content: "Hello!" },
      pieces: { model: "demo", content: ["Hello", 5], add_special: true, parse_special: false, with_pieces: true },
    },
  },
  reply: { schema: "TokenizeReply", description: "The tokens." },
  errors: INFERENCE_ERRORS,
});

const DETOKENIZE_DOCS = describeRoute({
  operationId: "detokenize",
  tag: "llama.cpp",
  summary: "Turn tokens into their text",
  description:
    "As llama.cpp's server does it: control tokens are written out, and nothing is left out at the beginning.",
  body: { schema: "DetokenizeRequest", examples: { ids: { model: "demo", tokens: [5, 6, 7] } } },
  reply: { schema: "DetokenizeReply", description: "The text." },
  errors: INFERENCE_ERRORS,
});
