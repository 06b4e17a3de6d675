// How the errors of the routes of uploads are brought about: most of them need an upload that has begun.

import type { ErrorCode } from "../../src/protocol/errors.ts";
import { createTestApp, type TestApp } from "./http-app.ts";
import type { Provoke } from "./provocations.ts";

const PATH = "/api/models/upload";

/** Begins an upload in parts; returns its path. */
export async function beginUpload({ app }: TestApp, name: string, sizeBytes: number): Promise<string> {
  const headers = {
    "Tus-Resumable": "1.0.0",
    "Upload-Length": String(sizeBytes),
    "Upload-Metadata": `filename ${Buffer.from(name).toString("base64")}`,
  };
  const response = await app.handle(new Request(`http://localhost:9000${PATH}`, { method: "POST", headers }));
  const location = response.headers.get("Location");
  if (location === null) throw new Error(`no upload began: ${await response.text()}`);
  return location;
}

export function patchUpload(
  { app }: TestApp,
  path: string,
  body: BodyInit,
  offset: number | string = 0,
): Promise<Response> {
  const headers = { "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(offset) };
  return app.handle(new Request(`http://localhost:9000${path}`, { method: "PATCH", body, headers }));
}

/** A body that ends nowhere. */
export function silentBody(first: string): ReadableStream {
  return new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(first)) });
}

const patch = (sizeBytes: number, body: string, offset: number | string = 0): Provoke => {
  return async () => {
    const app = createTestApp();
    return await patchUpload(app, await beginUpload(app, "m.gguf", sizeBytes), body, offset);
  };
};

/** Nobody sends anything any more. */
const fallSilent: Provoke = async () => {
  const app = createTestApp();
  const answer = patchUpload(app, await beginUpload(app, "m.gguf", 100), silentBody("GGUF"));
  const answered = answer.then(() => true);
  // Files are written on other threads: nobody knows when the silence begins.
  while (!(await Promise.race([answered, Bun.sleep(1).then(() => false)]))) app.clock.advance(61_000);
  return await answer;
};

const sendTwice: Provoke = async (route) => {
  const app = createTestApp();
  await app.post(PATH, route.example);
  return await app.post(PATH, route.example);
};

const beginTooMany: Provoke = async (route) => {
  const app = createTestApp();
  for (let count = 0; count < 16; count++) await beginUpload(app, `m${count}.gguf`, 1000);
  return await app.post(PATH, route.example);
};

export const UPLOAD_PROVOCATIONS: Record<string, Partial<Record<ErrorCode, Provoke>>> = {
  "POST /api/models/upload": {
    conflict: sendTwice,
    overloaded: beginTooMany,
    format_unsupported: () => createTestApp().post(`${PATH}?name=m.gguf`, "<!DOCTYPE html>"),
  },
  "PATCH /api/models/upload/{upload}": {
    invalid_request: patch(100, "GGUF", "x"),
    conflict: patch(100, "GGUF", 7),
    format_unsupported: patch(100, "<!DOCTYPE html>"),
    payload_too_large: patch(2, "GGUF"),
    timeout: fallSilent,
  },
};
