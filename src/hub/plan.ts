// From what was asked for to the files that have to be there: which, from where, how large, and the folder that they make
// up. Asks the Hub for its listing; fetches no model.

import { join } from "node:path";
import { AppError } from "../protocol/errors.ts";
import type { DownloadSource } from "./download-file.ts";
import type { PullReference } from "./reference.ts";
import { isSafePath, listRepository, sourceOf } from "./repository.ts";
import type { Requester } from "./requester.ts";
import { chooseVariant, listVariants } from "./variant.ts";

export interface PlannedFile extends DownloadSource {
  /** In the model's folder. */
  fileName: string;
}

export interface PullPlan {
  /** What it will be called: `owner/repo:tag`, or the file's name. */
  name: string;
  repo: string | null;
  tag: string | null;
  revision: string | null;
  /** The folder that appears when everything is there. Absolute. */
  folder: string;
  files: PlannedFile[];
}

export interface PlanOptions {
  requester: Requester;
  /** The models folder. */
  root: string;
  memoryBytes: number | null;
  signal: AbortSignal;
}

/** Throws AppError. */
export async function planPull(reference: PullReference, options: PlanOptions): Promise<PullPlan> {
  if (reference.kind === "url") return planAddress(reference.url, options.root);
  const { requester, root, memoryBytes, signal } = options;
  const { repo, tag: wanted, revision } = reference;
  const listed = await listRepository(requester, repo, revision, signal);
  const { tag, files } = chooseVariant(listVariants(listed), { repo, wanted, memoryBytes });
  return {
    name: `${repo}:${tag}`,
    repo,
    tag,
    revision,
    folder: join(root, repo, tag),
    files: files.map((file) => ({
      ...sourceOf(requester.settings, repo, revision, file),
      fileName: file.path.slice(file.path.lastIndexOf("/") + 1),
    })),
  };
}

function planAddress(address: string, root: string): PullPlan {
  const url = new URL(address);
  const fileName = decodeName(url.pathname.slice(url.pathname.lastIndexOf("/") + 1));
  if (fileName === null || !isSafePath(fileName)) {
    const message = `the address's last part ${JSON.stringify(fileName ?? url.pathname)} can't be a file's name here`;
    throw new AppError({ code: "invalid_request", message, hint: "Fetch it by other means.", param: "model" });
  }
  const asked = { what: `${url.host}/${fileName}`, page: null };
  const name = fileName.replace(/\.gguf$/i, "");
  const file = { url: address, asked, fileName, sizeBytes: null, sha256: null };
  return { name, repo: null, tag: null, revision: null, folder: join(root, name), files: [file] };
}

function decodeName(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch (_malformed) {
    // Refused by the caller: no name of a file is written so.
    return null;
  }
}
