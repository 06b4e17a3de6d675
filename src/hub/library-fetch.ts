// The `fetch` that the ecosystem's client of the Hub gets: its requests go through ours, and what it reads whole is
// bounded and of the shape that it takes for granted. Its own idea of a token is not passed on.

import { AppError } from "../protocol/errors.ts";
import type { Reply, Request, Requester } from "./requester.ts";

export interface LibraryFetchOptions {
  requester: Requester;
  asked: Request["asked"];
  signal: AbortSignal;
  /** What is read, for messages: `list of owner/repo's files`. */
  what: string;
  /** A text that every entry of a page has. */
  key: string;
}

/** A page has up to 1,000 files. */
const PAGE_BYTES_MAX = 8 * 1024 * 1024;
/** A list that goes on for longer has no end, or is none of a model. */
const PAGES_MAX = 40;

export function createLibraryFetch({ requester, asked, signal, what, key }: LibraryFetchOptions): typeof fetch {
  let pages = 0;
  const ask = async (input: string | URL | globalThis.Request): Promise<Response> => {
    pages += 1;
    if (pages > PAGES_MAX) {
      throw new AppError({ code: "invalid_request", message: `the ${what} goes on and on`, param: "model" });
    }
    const url = input instanceof globalThis.Request ? input.url : String(input);
    return await readPage(await requester.get({ url, headers: { Accept: "application/json" }, asked, signal }));
  };
  /** Bounded: then the library may read it whole. */
  const readPage = async (reply: Reply): Promise<Response> => {
    const { response, cancel } = reply;
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    try {
      for await (const chunk of response.body ?? []) {
        bytes += chunk.byteLength;
        if (bytes > PAGE_BYTES_MAX) throw malformed("it is too long");
        chunks.push(chunk);
      }
    } catch (thrown) {
      if (thrown instanceof AppError) throw thrown;
      throw malformed(thrown instanceof Error ? thrown.message : String(thrown));
    } finally {
      cancel();
    }
    const text = Buffer.concat(chunks).toString("utf8");
    if (!isList(text, key)) throw malformed("it is no list");
    const link = response.headers.get("Link");
    const headers = { "Content-Type": "application/json", ...(link === null ? {} : { Link: link }) };
    return new Response(text, { status: 200, headers });
  };
  const malformed = (why: string): AppError =>
    new AppError({ code: "download_failed", message: `the ${what} can't be read: ${why}` });
  // The library's type is that of the global, which in Bun has a property more.
  return ask as typeof fetch;
}

function isList(text: string, key: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return (
      Array.isArray(value) &&
      value.every((entry) => typeof entry === "object" && entry !== null && typeof entry[key] === "string")
    );
  } catch (_notJson) {
    // An error page, or half a page: told by the caller.
    return false;
  }
}
