// POST /api/models/upload, and what goes on with it: a model or a model file as a body, as a form, or in parts as tus 1.0.0
// has it (creation, expiration, termination). How bytes become a file is decided in models/upload/.

import { basename } from "node:path";
import type { Elysia } from "elysia";
import type { Uploaded } from "../../models/upload/finish.ts";
import type { UploadStatus } from "../../models/upload/ticket.ts";
import { AppError } from "../../protocol/errors.ts";
import { readChunks } from "../body.ts";
import { isLocalAddress } from "../host-check.ts";
import type { ApiContext } from "../options.ts";
import { describeTrouble } from "../trouble.ts";
import { UPLOAD_DELETE_DOCS, UPLOAD_DOCS, UPLOAD_PATCH_DOCS, UPLOAD_STATUS_DOCS } from "./library-docs.ts";
import type { UploadReply, UploadStatusReply } from "./library-schema.ts";
import { readBoundary } from "./multipart.ts";
import { checkModelFilePaths, receiveBody, receiveForm, receiveModelFile } from "./upload-body.ts";
import { describeTus, isTus, readCreation, readLength, TUS_HEADERS } from "./upload-tus.ts";

const PATH = "/api/models/upload";
const OFFSET_TYPE = "application/offset+octet-stream";

export function addUploadRoutes(app: Elysia, api: ApiContext): void {
  app.post(
    PATH,
    async ({ request }) => {
      if (isTus(request)) return await begin(request, api);
      return Response.json(encodeUploaded(await receive(request, api), api));
    },
    // Bodies are read here, as they come: larger than memory.
    { detail: UPLOAD_DOCS, parse: "none" },
  );
  app.get(
    `${PATH}/:upload`,
    ({ params }) => {
      const status = api.uploads.status(params.upload);
      const { id, name, offset, sizeBytes } = status;
      const reply: UploadStatusReply = {
        id,
        name,
        offset,
        sizeBytes,
        expires: new Date(status.expiresMs).toISOString(),
      };
      return Response.json(reply, { headers: describeTus(status) });
    },
    { detail: UPLOAD_STATUS_DOCS },
  );
  app.patch(
    `${PATH}/:upload`,
    async ({ params, request }) => {
      const { offset, sizeBytes } = api.uploads.status(params.upload);
      if (!(request.headers.get("Content-Type") ?? "").startsWith(OFFSET_TYPE)) {
        const message = `the Content-Type must be ${OFFSET_TYPE}`;
        throw new AppError({ code: "invalid_request", message, param: "Content-Type" });
      }
      const asked = readLength(request, "Upload-Offset");
      if (asked !== offset) {
        const message = `the upload is at byte ${offset}, not at ${asked}`;
        throw new AppError({ code: "conflict", message, hint: "Ask with HEAD, and go on from there." });
      }
      const status = await api.uploads.append(params.upload, asked, readChunks(request, api.clock));
      if (status.offset === sizeBytes) await finish(params.upload, api);
      return new Response(null, { status: 204, headers: describeTus(status) });
    },
    { detail: UPLOAD_PATCH_DOCS, parse: "none" },
  );
  app.delete(
    `${PATH}/:upload`,
    ({ params }) => {
      api.uploads.discard(api.uploads.status(params.upload).id);
      return new Response(null, { status: 204, headers: TUS_HEADERS });
    },
    { detail: UPLOAD_DELETE_DOCS },
  );
}

async function begin(request: Request, api: ApiContext): Promise<Response> {
  const { sizeBytes, ...wanted } = readCreation(request);
  const begun = await api.uploads.create({ ...wanted, sizeBytes, resumes: true });
  const hasBytes = (request.headers.get("Content-Type") ?? "").startsWith(OFFSET_TYPE);
  const status = hasBytes ? await api.uploads.append(begun.id, 0, readChunks(request, api.clock)) : begun;
  const headers = { ...describeTus(status), Location: `${PATH}/${status.id}` };
  // One without bytes is whole as well: it is refused as what it is.
  if (status.offset !== sizeBytes) return Response.json(describePending(status), { status: 201, headers });
  return Response.json(encodeUploaded(await finish(status.id, api), api), { status: 201, headers });
}

/** The answer to a beginning: nothing is listed yet. */
function describePending({ name, offset }: UploadStatus): UploadReply {
  const kind = /\.gguf$/i.test(name) ? "model" : "model-file";
  return { kind, name, id: null, sizeBytes: offset, sha256: null, error: "not all of it has arrived" };
}

async function receive(request: Request, api: ApiContext): Promise<Uploaded> {
  const boundary = readBoundary(request.headers.get("Content-Type") ?? "");
  if (boundary !== null) return await receiveForm(request, boundary, api);
  const query = new URL(request.url).searchParams;
  return query.has("name") ? await receiveBody(request, query, api) : await receiveModelFile(request, query, api);
}

async function finish(id: string, api: ApiContext): Promise<Uploaded> {
  return await api.uploads.finish(id, (description) => checkModelFilePaths(description, api));
}

function encodeUploaded({ kind, path, sizeBytes, sha256 }: Uploaded, api: ApiContext): UploadReply {
  const card = api.inference.listModels().find((other) => other.path === path || other.described?.file === path);
  const error = card === undefined ? null : describeTrouble(card, isLocalAddress(api.options.host));
  return { kind, name: basename(path), id: card?.id ?? null, sizeBytes, sha256, error };
}
