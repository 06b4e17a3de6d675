// What stands in the place of a model when fetching it went wrong: pointers of Git-LFS, pages of a website, files whose
// download was not finished.

import { basename, dirname } from "node:path";
import { quotePath } from "../lib/shell-quote.ts";
import { type Finding, showText } from "./detection.ts";
import type { FileSource } from "./file-source.ts";
import { readBytes } from "./read-at.ts";

/** A pointer has three lines. */
const POINTER_BYTES = 512;
/** A page names itself near its beginning. */
const PAGE_BYTES = 4 * 1024;

/** The endings that browsers, curl, aria2, torrent clients and the Hub's own tool give a file until it is whole. */
export function isPartialName(path: string): boolean {
  return /\.(part|partial|incomplete|crdownload|download|opdownload|aria2|!qb|tmp)$/i.test(path);
}

/** One or more pointers that stand for a model's files. */
export function detectPointer(source: FileSource, paths: readonly string[]): Finding {
  const sizes = paths.map((path) => source.use(path, (file) => readSize(readBytes(file, 0, POINTER_BYTES))));
  const known = sizes.filter((size) => size !== null);
  const missing = paths.map((path, index) => {
    const size = sizes[index] ?? null;
    return size === null ? basename(path) : `${basename(path)} (${size} bytes)`;
  });
  const [first = ""] = paths;
  const reason = "a Git-LFS pointer: git fetched the name of the file and not the file.";
  return {
    format: "lfs-pointer",
    verdict: "damaged",
    missing,
    reason:
      paths.length === 1
        ? reason
        : `${paths.length} files are Git-LFS pointers: git fetched their names and not the files.`,
    command: `git -C ${quotePath(dirname(first))} lfs pull`,
    resultBytes: known.length === paths.length ? known.reduce((sum, size) => sum + size, 0) : null,
  };
}

function readSize(bytes: Uint8Array): number | null {
  const size = Number(/^size (\d{1,16})$/m.exec(new TextDecoder().decode(bytes))?.[1] ?? Number.NaN);
  return Number.isSafeInteger(size) ? size : null;
}

export function detectHtml(source: FileSource, path: string): Finding {
  const text = new TextDecoder().decode(source.use(path, (file) => readBytes(file, 0, PAGE_BYTES)));
  const title = /<title[^>]*>([^<]{1,200})/i.exec(text)?.[1]?.trim();
  const named = title === undefined ? "" : ` ("${showText(title)}")`;
  const reason = `a web page${named}, saved in the place of a model. Fetch the file itself; a gated model needs a token.`;
  return { format: "html", verdict: "damaged", missing: [basename(path)], reason };
}
