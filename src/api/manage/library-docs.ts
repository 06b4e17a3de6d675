// The documentation of the routes by which models are listed, named, pinned, removed and sent.

import type { DocumentDecoration } from "elysia";
import type { ErrorCode } from "../../protocol/errors.ts";
import { describeRoute } from "../route-docs.ts";

const BODY_ERRORS: ErrorCode[] = ["invalid_request", "model_not_found", "payload_too_large", "timeout"];

export const LIST_DOCS = describeRoute({
  operationId: "listLibrary",
  tag: "System",
  summary: "List all that was found on the disk",
  description: "Also what can't be served, with the reason, and model files with a mistake in them.",
  reply: { schema: "ModelLibraryReply", description: "Every model, its place and its state." },
  errors: [],
});

export const DELETE_DOCS = describeRoute({
  operationId: "deleteModel",
  tag: "System",
  summary: "Remove a model, a model file or a copied name",
  description:
    "A copied name is taken back. Of a model that a model file describes, that file is deleted; the model's own files stay, " +
    "and are listed by their own name. Else the model's files are deleted, if they lie in the server's own models folder, not " +
    "behind a link to another one, and were not named with `--model`. Everything else is refused with 403. It has to be " +
    "named by its id.",
  pathParameter: { name: "model", description: "The model's id, or a copied name.", example: "demo" },
  reply: { schema: "ModelRemovedReply", description: "What was removed." },
  errors: ["invalid_request", "model_not_found"],
});

export function describeNaming(): DocumentDecoration {
  return describeRoute({
    operationId: "copyModel",
    tag: "System",
    summary: "Give a model a further name",
    description:
      "No file is copied. The name is kept across restarts; one that means something already is refused, but for one that was " +
      "copied before.",
    body: { schema: "ModelCopyRequest", examples: { copy: { source: "demo", destination: "my-demo" } } },
    reply: { schema: "ModelNameReply", description: "The model that it stands for." },
    errors: BODY_ERRORS,
  });
}

export const RENAME_DOCS = describeRoute({
  operationId: "renameModel",
  tag: "System",
  summary: "Rename a model's file, or a copied name",
  description:
    "Of files in the server's own models folder, with all their parts. Pins and copied names go with it. One that was " +
    "downloaded from the Hub, or that a model file describes, keeps its name.",
  body: { schema: "ModelRenameRequest", examples: { rename: { model: "demo", name: "other" } } },
  reply: { schema: "ModelNameReply", description: "The model's id now." },
  errors: [...BODY_ERRORS, "conflict"],
});

const pin = { schema: "ModelPinRequest", examples: { demo: { model: "demo" } } };

export const PIN_DOCS = describeRoute({
  operationId: "pinModel",
  tag: "System",
  summary: "Keep a model's engine",
  description:
    "Once it is loaded it stays, whatever `--sleep-after` and requests' `keep_alive` say; kept across restarts. It does not " +
    "load the model.",
  body: pin,
  reply: { schema: "ModelPinReply", description: "The model is pinned." },
  errors: BODY_ERRORS,
});

export const UNPIN_DOCS = describeRoute({
  operationId: "unpinModel",
  tag: "System",
  summary: "Let a model's engine sleep again",
  body: pin,
  reply: { schema: "ModelPinReply", description: "The model is not pinned." },
  errors: BODY_ERRORS,
});

const UPLOAD_ERRORS: ErrorCode[] = [
  "invalid_request",
  "conflict",
  "format_unsupported",
  "payload_too_large",
  "storage_unavailable",
  "timeout",
];

const BYTES = { type: "string", format: "binary" };
const text = (description: string) => ({ description, schema: { type: "string" } });

export const UPLOAD_DOCS = describeRoute({
  operationId: "uploadModel",
  tag: "System",
  summary: "Send a model or a model file",
  description:
    "A GGUF file with `name` in the query and its bytes as the body, or in a form; it lands in the server's own models folder. A " +
    "JSON or YAML body without a name is a model file, which is checked and lands in the folder of model files. With " +
    "`Tus-Resumable: 1.0.0` the body is empty and an upload that can be gone on with begins, as tus.io describes it: " +
    "`Upload-Length`, and `Upload-Metadata` with `filename` and perhaps `sha256`. Nothing is listed before it is whole and " +
    "checked.",
  query: [
    { name: "name", ...text("The file's name, such as `my-model.gguf`.") },
    { name: "sha256", ...text("Of the file, in hexadecimal: compared at the end.") },
    { name: "replace", description: "A model file may take another's place.", schema: { type: "boolean" } },
  ],
  headers: [
    { name: "Tus-Resumable", ...text("`1.0.0`: begin an upload that can be gone on with.") },
    { name: "Upload-Length", ...text("With it: the bytes of the file.") },
    { name: "Upload-Metadata", ...text("With it: `filename` and its value in base64, then others behind commas.") },
  ],
  body: {
    schema: "ModelFileRequest",
    examples: { short: { model_id: "demo-short", path: "demo", settings: { ctx: 256 } } },
    others: {
      "application/yaml": { type: "string" },
      "application/octet-stream": BYTES,
      "multipart/form-data": {
        type: "object",
        properties: { sha256: { type: "string" }, replace: { type: "string" }, file: BYTES },
        required: ["file"],
      },
    },
  },
  reply: {
    schema: "UploadReply",
    description: "It is whole, and listed.",
    alsoStatus: { status: 201, description: "The upload has begun; `Location` is where its bytes go." },
  },
  errors: [...UPLOAD_ERRORS, "overloaded"],
});

const UPLOAD_ID = {
  name: "upload",
  description: "As in the `Location` of its beginning.",
  example: "00000000000000000000000000000000",
};

export const UPLOAD_STATUS_DOCS = describeRoute({
  operationId: "getUpload",
  tag: "System",
  summary: "How far an upload is",
  description: "HEAD gives the same headers.",
  pathParameters: [UPLOAD_ID],
  reply: {
    schema: "UploadStatusReply",
    description: "It can be gone on with.",
    headers: { "Upload-Offset": "Bytes that have arrived.", "Upload-Length": "Bytes of the file." },
  },
  errors: ["not_found"],
});

export const UPLOAD_PATCH_DOCS = describeRoute({
  operationId: "continueUpload",
  tag: "System",
  summary: "Send more of an upload",
  description:
    "`Content-Type: application/offset+octet-stream`. The last byte ends it: the file is checked, and listed or refused. What " +
    "arrived before a connection broke is kept for a day.",
  pathParameters: [UPLOAD_ID],
  headers: [{ name: "Upload-Offset", ...text("Where the body belongs: what HEAD tells.") }],
  reply: {
    status: 204,
    description: "It has arrived.",
    mediaType: null,
    headers: { "Upload-Offset": "Bytes that have arrived." },
  },
  errors: [...UPLOAD_ERRORS, "not_found"],
});

export const UPLOAD_DELETE_DOCS = describeRoute({
  operationId: "deleteUpload",
  tag: "System",
  summary: "Give an upload up",
  pathParameters: [UPLOAD_ID],
  reply: { status: 204, description: "What had arrived is removed.", mediaType: null },
  errors: ["not_found"],
});
