// The shapes of the routes that llama.cpp's server has and OpenAI has not: the only source of their types, of the
// checks and of the documentation. What they share with OpenAI's routes is taken from there.

import { type Static, Type } from "@sinclair/typebox";
import { CompletionReply, PromptUsageReply } from "../openai/reply-schema.ts";
import { GENERATION_FIELDS, Model } from "../openai/schema.ts";

/** An editor sends a few dozen; each costs a tokenization. */
const EXTRA_FILES_MAX = 1024;

/** A request of more documents would keep others waiting for minutes. OpenAI takes as many texts to embed. */
const DOCUMENTS_MAX = 2048;

const PATH_CHARS_MAX = 4096;

export const InfillRequest = Type.Object({
  ...GENERATION_FIELDS,
  input_prefix: Type.String({ description: "Text before the gap: its end counts." }),
  input_suffix: Type.String({ description: "Text behind the gap: its beginning counts." }),
  prompt: Type.Optional(Type.String({ description: "How the gap's text begins." })),
  input_extra: Type.Optional(
    Type.Array(
      Type.Object({
        text: Type.String(),
        filename: Type.Optional(Type.String({ maxLength: PATH_CHARS_MAX, description: "Default `tmp`." })),
      }),
      { maxItems: EXTRA_FILES_MAX, description: "Other files; the last ones stand nearest to the gap." },
    ),
  ),
  n_predict: Type.Optional(
    Type.Integer({
      minimum: -1,
      maximum: 2_147_483_647,
      description:
        "`max_tokens` as llama.cpp's server calls it, and comes first. 0: only read the prompt, for requests to come.",
    }),
  ),
});
export type InfillRequest = Static<typeof InfillRequest>;

/** OpenAI's shape, and what editors' plug-ins for llama.cpp's server read. */
export const InfillReply = Type.Composite([
  CompletionReply,
  Type.Object({
    content: Type.String({ description: "The text of the first choice, or this piece of it." }),
    stop: Type.Boolean({ description: "Nothing more comes." }),
  }),
]);
export type InfillReply = Static<typeof InfillReply>;

export const RerankRequest = Type.Object({
  model: Model,
  query: Type.String({ minLength: 1 }),
  documents: Type.Array(
    Type.Union([Type.String({ minLength: 1 }), Type.Object({ text: Type.String({ minLength: 1 }) })]),
    { minItems: 1, maxItems: DOCUMENTS_MAX, description: `Up to ${DOCUMENTS_MAX} texts, or objects with a \`text\`.` },
  ),
  top_n: Type.Optional(Type.Integer({ minimum: 1, description: "How many of the best to answer with. Default all." })),
  return_documents: Type.Optional(Type.Boolean({ description: "Answer with the texts, too. Default false." })),
});
export type RerankRequest = Static<typeof RerankRequest>;

export const RerankReply = Type.Object({
  object: Type.Literal("list"),
  model: Type.String(),
  results: Type.Array(
    Type.Object({
      index: Type.Integer({ description: "Of the document in the request." }),
      relevance_score: Type.Number({ description: "What the model's head gives, as it is: larger is more relevant." }),
      document: Type.Optional(Type.Object({ text: Type.String() })),
    }),
    { description: "The most relevant first." },
  ),
  usage: PromptUsageReply,
});
export type RerankReply = Static<typeof RerankReply>;
