// The headers of uploads in parts, as tus 1.0.0 (https://tus.io/protocols/resumable-upload) has them. Pure.

import type { UploadStatus } from "../../models/upload/ticket.ts";
import { AppError } from "../../protocol/errors.ts";
import { readSha256 } from "./upload-fields.ts";

const VERSION = "1.0.0";

export const TUS_HEADERS: Readonly<Record<string, string>> = {
  "Tus-Resumable": VERSION,
  "Tus-Version": VERSION,
  "Tus-Extension": "creation,creation-with-upload,expiration,termination",
};

/** Throws `invalid_request` for another version. */
export function isTus(request: Request): boolean {
  const version = request.headers.get("Tus-Resumable");
  if (version === null) return false;
  if (version === VERSION) return true;
  const message = `tus ${JSON.stringify(version.slice(0, 20))} is not spoken here, but ${VERSION}`;
  const hint = `Send Tus-Resumable: ${VERSION}.`;
  throw new AppError({ code: "invalid_request", message, hint, param: "Tus-Resumable" });
}

export function describeTus({ offset, sizeBytes, expiresMs }: UploadStatus): Record<string, string> {
  return {
    ...TUS_HEADERS,
    "Upload-Offset": String(offset),
    ...(sizeBytes === null ? {} : { "Upload-Length": String(sizeBytes) }),
    "Upload-Expires": new Date(expiresMs).toUTCString(),
    "Cache-Control": "no-store",
  };
}

export interface Creation {
  name: string;
  sizeBytes: number;
  sha256: string | null;
  replaces: boolean;
}

/** Throws `invalid_request`. */
export function readCreation(request: Request): Creation {
  if (request.headers.has("Upload-Defer-Length")) {
    const message = "an upload whose length comes later is not taken";
    throw new AppError({ code: "invalid_request", message, hint: "Send Upload-Length.", param: "Upload-Length" });
  }
  const metadata = readMetadata(request.headers.get("Upload-Metadata") ?? "");
  return {
    // Clients call it by either name.
    name: metadata.get("filename") ?? metadata.get("name") ?? "",
    sizeBytes: readLength(request, "Upload-Length"),
    sha256: readSha256(metadata.get("sha256") ?? null),
    replaces: metadata.get("replace") === "true",
  };
}

/** A header that holds a number of bytes. Throws `invalid_request`. */
export function readLength(request: Request, header: string): number {
  const text = request.headers.get(header) ?? "";
  const value = Number(text);
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(value)) return value;
  const message = `the header ${header} must be a number of bytes`;
  throw new AppError({ code: "invalid_request", message, param: header });
}

/** `filename d29ybGQ=,sha256 …` → names and their texts. */
function readMetadata(header: string): Map<string, string> {
  const pairs = header.split(",").map((pair) => pair.trim().split(/\s+/));
  return new Map(pairs.map(([key = "", value = ""]) => [key, Buffer.from(value, "base64").toString("utf8")]));
}
