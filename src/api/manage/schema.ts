// The shapes of the routes that manage models: the only source of their types and documentation.

import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { MODEL_FILE_FIELDS } from "./library-schema.ts";
import { PlanReply } from "./plan-schema.ts";

const orNull = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

/** Longer than the paths of any file system that models lie on. */
const PATH_LENGTH_MAX = 4096;

export const InspectRequest = Type.Object({
  path: Type.String({
    minLength: 1,
    maxLength: PATH_LENGTH_MAX,
    description:
      "An absolute path of a file or folder, a model's id, or `owner/repo[:tag]` of the Hugging Face Hub, which `hf:` " +
      "before it asks for in any case.",
  }),
});
export type InspectRequest = Static<typeof InspectRequest>;

const VERDICTS = ["runs", "convertible", "convertible-with-loss", "unsupported", "damaged"] as const;

const FACTS = {
  format: Type.String({ description: "Such as `gguf` or `safetensors`." }),
  variant: orNull(Type.String({ description: "What kind of it, such as `split` or `gptq`." })),
  architecture: orNull(Type.String({ description: "As the files name it." })),
  parameterCount: orNull(Type.Integer()),
  quantization: orNull(Type.String({ description: "Such as `Q4_K_M` or `BF16`." })),
  contextLength: orNull(Type.Number({ description: "Tokens that the model was trained for." })),
  tokenizer: orNull(Type.String()),
  hasChatTemplate: orNull(Type.Boolean()),
  files: Type.Array(Type.String(), { description: "All files that are part of it." }),
  sizeBytes: Type.Integer(),
  missing: Type.Array(Type.String(), { description: "Files, keys or tensors that ought to be there, in words." }),
  verdict: Type.Union(VERDICTS.map((verdict) => Type.Literal(verdict))),
};
const REASON = Type.String({ description: "Why, and what to do." });
const MEMORY = orNull(Type.Integer({ description: "For the weights alone: the context comes on top." }));

const FIT = Type.Object({
  neededBytes: orNull(Type.Integer()),
  availableBytes: orNull(Type.Integer({ description: "Of that what may be used." })),
  fits: orNull(Type.Boolean({ description: "Null: not known." })),
});

export const InspectReply = Type.Object({
  path: Type.String({ description: "`hf:` and its name where it is on the Hub." }),
  ...FACTS,
  guidance: Type.Object({
    reason: REASON,
    command: orNull(Type.String({ description: "To be typed as it stands." })),
    sizeBytes: orNull(Type.Integer({ description: "Of what the command makes, or of the model that runs." })),
    memoryBytes: MEMORY,
  }),
  hub: orNull(
    Type.Object(
      {
        name: orNull(Type.String({ description: "As `pull` takes it; null: it fetches no files of this kind." })),
        repo: Type.String(),
        downloadBytes: Type.Integer(),
        memory: Type.Union([FIT, Type.Null()], {
          description:
            "By the size of the weights, where headers are not enough for a plan; else null: `plan` knows better.",
        }),
        disk: FIT,
        plan: orNull(PlanReply),
        noPlan: orNull(Type.String({ description: "Why its headers are not enough for a plan; null: there is one." })),
      },
      { description: "Of a model that is on the Hub and not here; files are then paths of its repository." },
    ),
  ),
});
export type InspectReply = Static<typeof InspectReply>;

export const ModelContentsReply = Type.Object({
  id: Type.String(),
  ...FACTS,
  reason: REASON,
  memoryBytes: MEMORY,
  metadata: Type.Array(
    Type.Object({ key: Type.String(), value: Type.Union([Type.String(), Type.Number(), Type.Boolean()]) }),
    { description: "Long lists are described, not listed." },
  ),
  tensorCount: Type.Integer({ description: "Of all files, whether the filter leaves them or not." }),
  tensors: Type.Array(
    Type.Object({
      name: Type.String(),
      type: Type.String(),
      shape: Type.Array(Type.Integer(), { description: "The fastest-varying dimension first." }),
      file: Type.String(),
    }),
  ),
  modelFile: orNull(
    Type.Object(
      {
        ...MODEL_FILE_FIELDS,
        chatTemplate: orNull(Type.String({ description: "Used in the place of the model's own; null: that is used." })),
      },
      { description: "That describes it; null: none does." },
    ),
  ),
});
export type ModelContentsReply = Static<typeof ModelContentsReply>;
