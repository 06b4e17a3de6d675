// The files of a repository of the Hub, with their sizes and checksums: by the ecosystem's own client, whose requests go
// through ours. Names come from a stranger: what could leave the folder is left out.

import { listFiles } from "@huggingface/hub";
import { AppError } from "../protocol/errors.ts";
import { createLibraryFetch } from "./library-fetch.ts";
import type { Request, Requester } from "./requester.ts";
import type { HubSettings } from "./settings.ts";

export interface RepositoryFile {
  /** Inside the repository. */
  path: string;
  sizeBytes: number;
  /** Hexadecimal; null: a small file that is not in large file storage. */
  sha256: string | null;
}

/** Repositories of models have some dozens; those of data sets are not asked for. */
const FILES_MAX = 20_000;

/** Throws AppError. */
export async function listRepository(
  requester: Requester,
  repo: string,
  revision: string,
  signal: AbortSignal,
): Promise<RepositoryFile[]> {
  const { endpoint } = requester.settings;
  const asked = { what: repo, page: `${endpoint}/${repo}` };
  const entries = listFiles({
    repo: { type: "model", name: repo },
    revision,
    recursive: true,
    hubUrl: endpoint,
    fetch: createLibraryFetch({ requester, asked, signal, what: `list of ${repo}'s files`, key: "path" }),
  });
  const files: RepositoryFile[] = [];
  for await (const { type, path, size, lfs } of entries) {
    if (type !== "file" || !isSafePath(path)) continue;
    if (files.length >= FILES_MAX) throw tooMany(repo);
    const sizeBytes = lfs?.size ?? size;
    const sha256 = typeof lfs?.oid === "string" && /^[0-9a-f]{64}$/.test(lfs.oid) ? lfs.oid : null;
    if (Number.isSafeInteger(sizeBytes) && sizeBytes >= 0) files.push({ path, sizeBytes, sha256 });
  }
  return files;
}

/** Where a file of a revision is fetched from. */
export function sourceOf(
  { endpoint }: HubSettings,
  repo: string,
  revision: string,
  { path, sizeBytes, sha256 }: RepositoryFile,
): { url: string; asked: Request["asked"]; sizeBytes: number; sha256: string | null } {
  const encode = (text: string): string => text.split("/").map(encodeURIComponent).join("/");
  return {
    url: `${endpoint}/${repo}/resolve/${encode(revision)}/${encode(path)}`,
    asked: { what: `${repo}/${path}`, page: `${endpoint}/${repo}` },
    sizeBytes,
    sha256,
  };
}

function tooMany(repo: string): AppError {
  const message = `${repo} has more than ${FILES_MAX} files: it is no repository of a model`;
  return new AppError({ code: "invalid_request", message, param: "model" });
}

/** Plain relative paths, whose names are no hidden files and fit into any file system. */
export function isSafePath(path: string): boolean {
  return path
    .split("/")
    .every((part) => part !== "" && !part.startsWith(".") && part.length <= 180 && !/[\p{C}\\:*?"<>|]/u.test(part));
}
