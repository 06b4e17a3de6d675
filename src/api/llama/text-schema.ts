// The shapes of the routes that turn texts into tokens and back, as llama.cpp's server has them: the only source of
// their types, of the checks and of the documentation.

import { type Static, Type } from "@sinclair/typebox";
import { PIECES_MAX, TEXT_BYTES_MAX, TOKENS_MAX } from "../../protocol/text-question.ts";
import { Model } from "../openai/schema.ts";

/** The text of a million tokens. Reading one takes a second of a core, which others may need. */
const CONTENT_CHARS_MAX = 4 * 1024 * 1024;

/** Texts and token ids in a row: programs that join a few do it with this many at most. */
const CONTENT_ITEMS_MAX = 65_536;

/** llama.cpp's ids are 32 bits wide. */
const TokenId = Type.Integer({ minimum: 0, maximum: 2_147_483_647 });

const Content = Type.String({ maxLength: CONTENT_CHARS_MAX });

export const TokenizeRequest = Type.Object({
  model: Model,
  content: Type.Union([Content, Type.Array(Type.Union([Content, TokenId]), { maxItems: CONTENT_ITEMS_MAX })], {
    description: `A text of ${CONTENT_CHARS_MAX} characters at most, or an array of texts and token ids: they follow each other.`,
  }),
  add_special: Type.Optional(
    Type.Boolean({ description: "Add what the vocabulary puts around a text, such as BOS. Default false." }),
  ),
  parse_special: Type.Optional(
    Type.Boolean({ description: "Read control tokens such as `<|im_end|>` out of the text. Default true." }),
  ),
  with_pieces: Type.Optional(
    Type.Boolean({ description: `Answer with each token's text, of ${PIECES_MAX} tokens at most. Default false.` }),
  ),
});
export type TokenizeRequest = Static<typeof TokenizeRequest>;

const TokenPiece = Type.Object({
  id: Type.Integer(),
  piece: Type.Union([Type.String(), Type.Array(Type.Integer())], {
    description: "Its text, or its bytes where they are a part of a character.",
  }),
});

export const TokenizeReply = Type.Object({
  tokens: Type.Union([Type.Array(Type.Integer()), Type.Array(TokenPiece)], {
    description: `Token ids, ${TOKENS_MAX} at most, or objects with \`with_pieces\`.`,
  }),
});
export type TokenizeReply = Static<typeof TokenizeReply>;

export const DetokenizeRequest = Type.Object({
  model: Model,
  tokens: Type.Array(TokenId, { maxItems: TOKENS_MAX, description: `${TOKENS_MAX} token ids at most.` }),
});
export type DetokenizeRequest = Static<typeof DetokenizeRequest>;

export const DetokenizeReply = Type.Object({
  content: Type.String({
    description: `The tokens' text, control tokens included, of ${TEXT_BYTES_MAX} bytes at most. Bytes that are no UTF-8 are U+FFFD.`,
  }),
});
export type DetokenizeReply = Static<typeof DetokenizeReply>;

export const ApplyTemplateReply = Type.Object({
  prompt: Type.String({ description: "The conversation as the model's template writes it." }),
});
export type ApplyTemplateReply = Static<typeof ApplyTemplateReply>;
