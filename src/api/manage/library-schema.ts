// The shapes of the routes by which models are listed, named, pinned, removed and sent: the only source of their types and
// documentation. What a model file may say is checked elsewhere (models/model-file/schema.ts): here it is told.

import { type Static, type TSchema, Type } from "@sinclair/typebox";

const orNull = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);
const name = (description: string) => Type.String({ minLength: 1, maxLength: 1024, description });

export const MODEL_FILE_FIELDS = {
  name: Type.String(),
  content: Type.Object({}, { description: "All that it says." }),
  withoutEffect: Type.Array(Type.String(), { description: "Keys of it that have no effect." }),
  hardware: Type.Array(
    Type.Object({
      key: Type.String({ description: "Such as `requirements.memory_gb` or `hardware_scaling.large`." }),
      outcome: Type.Union(
        (["met", "unmet", "below", "unknown", "used", "unused"] as const).map((word) => Type.Literal(word)),
        { description: "`unmet`: the model is refused; `below`: less than is recommended." },
      ),
      reason: Type.String({ description: "In words." }),
    }),
    { description: "What this machine makes of its `requirements`, `optimization_hints` and `hardware_scaling`." },
  ),
};

export const ModelLibraryReply = Type.Object({
  models: Type.Array(
    Type.Object({
      id: Type.String(),
      displayName: orNull(Type.String({ description: "As its model file calls it." })),
      modelType: orNull(Type.String({ description: "Likewise." })),
      aliases: Type.Array(Type.String()),
      givenNames: Type.Array(Type.String(), { description: "Those of the aliases that a person gave." }),
      place: Type.String({
        description:
          "Where it was found: `named` (--model), `models-dir`, `own` (the server's own folder), `model-file`, `built-in`, " +
          "or the program that it belongs to, such as `ollama`.",
      }),
      path: orNull(Type.String({ description: "Null while others than this machine may ask." })),
      sizeBytes: Type.Integer(),
      modifiedMs: Type.Integer({ description: "Milliseconds since the epoch; 0: unknown." }),
      architecture: orNull(Type.String()),
      quantization: orNull(Type.String()),
      capabilities: Type.Array(Type.String()),
      companions: Type.Array(Type.Object({ kind: Type.String(), name: Type.String(), sizeBytes: Type.Integer() })),
      modelFile: orNull(Type.Object(MODEL_FILE_FIELDS, { description: "That describes it." })),
      state: Type.String(),
      loaded: Type.Boolean(),
      pinned: Type.Boolean({ description: "Its engine stays when nobody asks." }),
      sleepsInMs: orNull(
        Type.Number({ description: "Until its engine is stopped if nobody asks; null: it stays, or has none." }),
      ),
      backend: orNull(
        Type.Object(
          {
            wanted: Type.Array(Type.String(), { description: "As asked for, in order; empty: whatever works." }),
            used: Type.Array(Type.String(), { description: "GPU back ends that are loaded, else `cpu`." }),
            fallback: orNull(Type.String({ description: "What is used in place of the first one; null: nothing is." })),
            skipped: Type.Array(Type.Object({ file: Type.String(), reason: Type.String() })),
          },
          { description: "Where its engine computes; null: it has none." },
        ),
      ),
      default: Type.Boolean(),
      demo: Type.Boolean(),
      error: orNull(Type.String({ description: "Why it can't be served, or why the last load failed." })),
    }),
  ),
});
export type ModelLibraryReply = Static<typeof ModelLibraryReply>;

export const ModelRemovedReply = Type.Object({
  id: Type.String({ description: "As it was asked for." }),
  removed: Type.Union([Type.Literal("name"), Type.Literal("model-file"), Type.Literal("files")], {
    description: "A copied name, the model file that described it, or the model's own files.",
  }),
});
export type ModelRemovedReply = Static<typeof ModelRemovedReply>;

export const ModelCopyRequest = Type.Object({
  source: name("A model's id or another name of it."),
  destination: name("The further name."),
});

export const ModelRenameRequest = Type.Object({
  model: name("The id of a model in the server's own folder, or a copied name."),
  name: name("The new name, without `.gguf`."),
});

export const ModelPinRequest = Type.Object({ model: name("A model's id or another name of it.") });

export const ModelNameReply = Type.Object({ id: Type.String({ description: "As the model is listed." }) });
export type ModelNameReply = Static<typeof ModelNameReply>;

export const ModelPinReply = Type.Object({ id: Type.String(), pinned: Type.Boolean() });
export type ModelPinReply = Static<typeof ModelPinReply>;

export const ModelFileRequest = Type.Object(
  {
    model_id: name("What the model is called."),
    path: name("Its file, relative to the model file, or a model's name."),
  },
  { additionalProperties: true, description: "A model file; docs/models.md lists all its keys." },
);

export const UploadReply = Type.Object({
  kind: Type.Union([Type.Literal("model"), Type.Literal("model-file")]),
  name: Type.String({ description: "The file's name." }),
  id: orNull(Type.String({ description: "Of the model; null: it goes with another model, or is a part of one." })),
  sizeBytes: Type.Integer(),
  sha256: orNull(Type.String({ description: "Null: it was not asked for, and the upload came in parts." })),
  error: orNull(Type.String({ description: "Why the model can't be served as it is." })),
});
export type UploadReply = Static<typeof UploadReply>;

export const UploadStatusReply = Type.Object({
  id: Type.String(),
  name: Type.String(),
  offset: Type.Integer({ description: "Bytes that have arrived." }),
  sizeBytes: orNull(Type.Integer()),
  expires: Type.String({ description: "When it is removed if nothing more comes." }),
});
export type UploadStatusReply = Static<typeof UploadStatusReply>;

export const LIBRARY_COMPONENTS = {
  ModelLibraryReply,
  ModelRemovedReply,
  ModelCopyRequest,
  ModelRenameRequest,
  ModelPinRequest,
  ModelNameReply,
  ModelPinReply,
  ModelFileRequest,
  UploadReply,
  UploadStatusReply,
};
