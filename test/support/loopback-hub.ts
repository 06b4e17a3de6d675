// A Hub on this machine: listings, redirects to a storage at another address, ranges, ETags. Tests say what goes wrong.

import { rawGguf, smallModel, stringEntry, tensorEntry, u32Entry } from "./raw-gguf.ts";

export interface Asked {
  /** `tree`, `resolve`, or `storage`. */
  kind: "tree" | "resolve" | "storage";
  path: string;
  range: [number, number] | null;
  authorization: string | null;
  /** Requests of this kind before it. */
  index: number;
}

/** What goes wrong with a request: an answer in place of the right one, or how its body fails. */
export type Fault =
  | Response
  | { breakAfterBytes: number }
  | { stallAfterBytes: number }
  /** So many bytes a millisecond or so, without an end. */
  | { trickleBytes: number }
  | "no-ranges"
  | null;

export interface LoopbackHub extends AsyncDisposable {
  endpoint: string;
  files: Map<string, Uint8Array>;
  asked: Asked[];
  /** Bytes that left the storage. */
  servedBytes: number;
  fault: (asked: Asked) => Fault;
  /** Checksums of the listing that are wrong. */
  lies: Map<string, string>;
  /** What its search finds, whatever is searched for. */
  listing: object[];
  /** Milliseconds before each 64 KiB. */
  slownessMs: number;
}

const REPO = "owner/tiny-GGUF";
const CHUNK_BYTES = 64 * 1024;

const sums = new WeakMap<Uint8Array, string>();

/** Of bytes that do not change: of a large file it is computed once. */
export function sha256Of(bytes: Uint8Array): string {
  const sum = sums.get(bytes) ?? new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
  sums.set(bytes, sum);
  return sum;
}

/** A whole GGUF file of about so many bytes; `seed` makes them different. */
export function makeLargeModel(bytes: number, seed: number): Uint8Array {
  const elements = Math.floor(bytes / 4);
  const head = rawGguf({
    metadata: [
      stringEntry("general.architecture", "llama"),
      u32Entry("general.file_type", 0),
      u32Entry("llama.context_length", 64),
      u32Entry("test.seed", seed),
    ],
    tensors: [tensorEntry("output_norm.weight", [elements], 0, 0)],
  });
  const data = new Uint32Array(elements);
  let state = seed * 2654435761 + 1;
  for (let i = 0; i < elements; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = state;
  }
  return new Uint8Array(Buffer.concat([head, new Uint8Array(data.buffer)]));
}

/** Files of `owner/tiny-GGUF`, by their paths. */
export function startLoopbackHub(files: Record<string, Uint8Array> = { "tiny-Q8_0.gguf": smallModel() }): LoopbackHub {
  const counts = { tree: 0, resolve: 0, storage: 0 };
  const storage = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: (request) => answer(request, "storage") });
  const front = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) => answer(request, new URL(request.url).pathname.startsWith("/api/") ? "tree" : "resolve"),
  });
  const hub: LoopbackHub = {
    endpoint: `http://127.0.0.1:${front.port}`,
    files: new Map(Object.entries(files)),
    asked: [],
    servedBytes: 0,
    fault: () => null,
    lies: new Map(),
    listing: [{ id: REPO, downloads: 3, likes: 1, gated: false, lastModified: "2026-01-02T03:04:05.000Z" }],
    slownessMs: 0,
    async [Symbol.asyncDispose]() {
      await front.stop(true);
      await storage.stop(true);
    },
  };

  async function answer(request: Request, kind: Asked["kind"]): Promise<Response> {
    const { pathname } = new URL(request.url);
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get("Range") ?? "");
    const range: Asked["range"] = match === null ? null : [Number(match[1]), Number(match[2])];
    const path = decodeURIComponent(pathname).replace(`/${REPO}/resolve/main/`, "").replace("/blob/", "");
    const authorization = request.headers.get("Authorization");
    const asked: Asked = { kind, path, range, authorization, index: counts[kind]++ };
    hub.asked.push(asked);
    const fault = hub.fault(asked);
    if (fault instanceof Response) return fault;
    if (kind === "tree") return answerTree(hub, pathname);
    const content = hub.files.get(path);
    if (content === undefined) return new Response("", { status: 404, headers: { "X-Error-Code": "EntryNotFound" } });
    if (kind === "resolve")
      return redirect(content, `http://127.0.0.1:${storage.port}/blob/${encodeURIComponent(path)}`);
    return sendBytes(hub, content, fault === "no-ranges" ? null : range, fault);
  }
  return hub;
}

function answerTree(hub: LoopbackHub, pathname: string): Response {
  if (pathname === "/api/models") return Response.json(hub.listing);
  if (pathname !== `/api/models/${REPO}/tree/main`) {
    return Response.json(
      { error: "Repository not found" },
      { status: 401, headers: { "X-Error-Code": "RepoNotFound" } },
    );
  }
  return Response.json(
    [...hub.files].map(([path, bytes]) => ({
      type: "file",
      path,
      size: bytes.length,
      oid: "0".repeat(40),
      lfs: { oid: hub.lies.get(path) ?? sha256Of(bytes), size: bytes.length, pointerSize: 130 },
    })),
  );
}

function redirect(content: Uint8Array, location: string): Response {
  return new Response(null, {
    status: 302,
    headers: {
      Location: location,
      "X-Linked-ETag": `"${sha256Of(content)}"`,
      "X-Linked-Size": String(content.length),
      "X-Repo-Commit": "c0ffee",
    },
  });
}

function sendBytes(hub: LoopbackHub, content: Uint8Array, range: Asked["range"], fault: Fault): Response {
  const [from, last] = range ?? [0, content.length - 1];
  if (from >= content.length) {
    return new Response("", { status: 416, headers: { "Content-Range": `bytes */${content.length}` } });
  }
  const wanted = content.subarray(from, Math.min(content.length, last + 1));
  const headers: Record<string, string> = { ETag: `"storage-${content.length}"` };
  if (range !== null) headers["Content-Range"] = `bytes ${from}-${from + wanted.length - 1}/${content.length}`;
  return new Response(streamBytes(hub, wanted, fault), {
    status: range === null ? 200 : 206,
    headers: { ...headers, "Content-Length": String(wanted.length) },
  });
}

function streamBytes(hub: LoopbackHub, bytes: Uint8Array, fault: Fault): ReadableStream<Uint8Array> {
  const shape = fault !== null && typeof fault === "object" && !(fault instanceof Response) ? fault : null;
  const breakAt = shape !== null && "breakAfterBytes" in shape ? shape.breakAfterBytes : Number.POSITIVE_INFINITY;
  const stallAt = shape !== null && "stallAfterBytes" in shape ? shape.stallAfterBytes : Number.POSITIVE_INFINITY;
  const trickle = shape !== null && "trickleBytes" in shape ? shape.trickleBytes : null;
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      if (hub.slownessMs > 0 || trickle !== null) await Bun.sleep(Math.max(1, hub.slownessMs));
      if (at >= stallAt) return await new Promise<void>(() => {});
      if (at >= breakAt) return controller.close();
      const end = Math.min(bytes.length, at + (trickle ?? CHUNK_BYTES), Math.max(at, breakAt), Math.max(at, stallAt));
      // A copy: what is given to a stream may be taken away.
      if (end > at) controller.enqueue(bytes.slice(at, end));
      hub.servedBytes += end - at;
      at = end;
      if (at >= bytes.length) controller.close();
    },
  });
}
