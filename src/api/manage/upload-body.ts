// Uploads that come in one request: the body itself, a form's file, or a model file as JSON or YAML. One that breaks off leaves
// nothing behind.

import { isAbsolute } from "node:path";
import { guessId, MODEL_FILE_BYTES_MAX, type ModelDescription } from "../../models/model-file/parse.ts";
import type { Uploaded } from "../../models/upload/finish.ts";
import type { UploadRequest } from "../../models/upload/uploads.ts";
import { AppError } from "../../protocol/errors.ts";
import { readBytes, readChunks } from "../body.ts";
import { isLocalAddress } from "../host-check.ts";
import type { ApiContext } from "../options.ts";
import { readParts, readText } from "./multipart.ts";
import { readSha256, readSwitch } from "./upload-fields.ts";

/** Of a form's fields beside the file: a name, or a checksum. */
const FIELD_BYTES_MAX = 1024;

/** The body's bytes are the file's. */
export async function receiveBody(request: Request, query: URLSearchParams, api: ApiContext): Promise<Uploaded> {
  const length = request.headers.get("Content-Length");
  const wanted = {
    name: query.get("name") ?? "",
    sizeBytes: length === null ? null : Number(length),
    sha256: readSha256(query.get("sha256")),
    replaces: readSwitch(query.get("replace"), "replace"),
  };
  return await store(wanted, readChunks(request, api.clock), api);
}

/**
 * `sha256`, `name` and `replace` stand before the file, as their meaning is needed before its bytes. The file appears when all
 * of the form was understood: a refusal leaves nothing.
 */
export async function receiveForm(request: Request, boundary: string, api: ApiContext): Promise<Uploaded> {
  const fields = new Map<string, string>();
  let id: string | null = null;
  try {
    for await (const part of readParts(readChunks(request, api.clock), boundary)) {
      if (part.fileName === null) {
        fields.set(part.name, await readText(part, FIELD_BYTES_MAX));
        continue;
      }
      if (id !== null) throw wrongForm("holds a second file", "Send one at a time.");
      const begun = await api.uploads.create(readFormFields(fields, part.fileName));
      id = begun.id;
      await api.uploads.append(id, 0, part.chunks);
    }
    if (id === null) throw wrongForm("holds no file", "Send it with its file name.");
    return await finish(id, api);
  } finally {
    if (id !== null) api.uploads.discard(id);
  }
}

function readFormFields(fields: ReadonlyMap<string, string>, fileName: string): UploadRequest {
  return {
    name: fields.get("name") ?? fileName,
    sizeBytes: null,
    sha256: readSha256(fields.get("sha256") ?? null),
    replaces: readSwitch(fields.get("replace") ?? null, "replace"),
    resumes: false,
  };
}

function wrongForm(what: string, hint: string): AppError {
  return new AppError({ code: "invalid_request", message: `the form ${what}`, hint, param: "file" });
}

/** A model file without a name: it is called as the model. */
export async function receiveModelFile(request: Request, query: URLSearchParams, api: ApiContext): Promise<Uploaded> {
  if (Number(request.headers.get("Content-Length") ?? 0) > MODEL_FILE_BYTES_MAX) {
    const message = `the body has no name, and is larger than the ${MODEL_FILE_BYTES_MAX} bytes of a model file`;
    const hint = "Name a model in the query: ?name=model.gguf.";
    throw new AppError({ code: "payload_too_large", message, hint });
  }
  const bytes = await readBytes(request, Math.min(MODEL_FILE_BYTES_MAX, api.options.bodyBytesMax), api.clock);
  const text = Buffer.from(bytes).toString("utf8");
  const extension = /^\s*\{/.test(text) ? "json" : "yaml";
  const id = guessId(`the body.${extension}`, text);
  const wanted = {
    name: `${id.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[-.]+/, "")}.${extension}`,
    sizeBytes: bytes.byteLength,
    sha256: readSha256(query.get("sha256")),
    replaces: readSwitch(query.get("replace"), "replace"),
  };
  return await store(wanted, onePiece(bytes), api);
}

async function* onePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}

async function store(
  wanted: Omit<UploadRequest, "resumes">,
  chunks: AsyncIterable<Uint8Array>,
  api: ApiContext,
): Promise<Uploaded> {
  const { id } = await api.uploads.create({ ...wanted, resumes: false });
  try {
    await api.uploads.append(id, 0, chunks);
    return await finish(id, api);
  } finally {
    api.uploads.discard(id);
  }
}

async function finish(id: string, api: ApiContext): Promise<Uploaded> {
  return await api.uploads.finish(id, (description) => checkModelFilePaths(description, api));
}

/** Who is not on this machine may describe the models that are listed, and not make us look at paths. Throws `forbidden`. */
export function checkModelFilePaths({ target, settings }: ModelDescription, api: ApiContext): void {
  if (isLocalAddress(api.options.host)) return;
  const { draftModel, lora } = settings.engine;
  const isPath = isAbsolute(target) || /(^|\/)(~|\.{1,2})(\/|$)|\.gguf$/i.test(target);
  if (!isPath && draftModel === undefined && lora === undefined) return;
  throw new AppError({
    code: "forbidden",
    message: "model files with paths are taken only while the server listens on this machine alone",
    hint: "Name a model as `path`, and leave out draft_model and lora; or write the file there.",
  });
}
