// From what was asked for to the files that have to be there: which, from where, how large, and the folder that they make
// up. Asks the Hub for its listing; fetches no model.

import { join } from "node:path";
import { AppError } from "../protocol/errors.ts";
import type { DownloadSource } from "./download-file.ts";
import { chooseFitting } from "./fitting-variant.ts";
import { confirmByHeaders, type PlanHeaders } from "./read-remotely.ts";
import type { PullReference } from "./reference.ts";
import { isSafePath, listRepository, type RepositoryFile, sourceOf } from "./repository.ts";
import type { Requester } from "./requester.ts";
import { chooseCompanions, listCompanions, listVariants, type Variant } from "./variant.ts";
import { listWeightsSet, WEIGHTS_TAG } from "./weights-set.ts";

export interface PlannedFile extends DownloadSource {
  /** In the model's folder; with slashes where the repository has folders that belong to the model. */
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
  /** Where in that folder the model lies, which is no GGUF file and must be converted; null: it is one. */
  weightsFolder: string | null;
  /** Larger ones that fit by their size and do not by their headers; absent: none was. */
  passedOver?: readonly string[];
}

export interface PlanOptions {
  requester: Requester;
  /** The models folder. */
  root: string;
  largestBytes: number | null;
  /** Confirms what is chosen by its size; null: nothing does. */
  planHeaders: PlanHeaders | null;
  /** Weights that must be converted are taken where there is no GGUF file. */
  takesWeights: boolean;
  /** What goes with the model is planned as well. */
  takesCompanions: boolean;
  signal: AbortSignal;
}

/** The model, then what goes with it. Throws AppError. */
export async function planPull(reference: PullReference, options: PlanOptions): Promise<[PullPlan, ...PullPlan[]]> {
  if (reference.kind === "url") return [planAddress(reference.url, options.root)];
  const { requester, largestBytes, signal, takesWeights, takesCompanions } = options;
  const { repo, tag: wanted, revision } = reference;
  const listed = await listRepository(requester, repo, revision, signal);
  const variants = listVariants(listed);
  const weights = takesWeights ? listWeightsSet(listed) : null;
  const isWeights = wanted === null ? variants.length === 0 : wanted.toLowerCase() === WEIGHTS_TAG;
  if (weights !== null && isWeights) return [planWeights(reference, weights, options)];
  const companions = listCompanions(listed);
  const confirm = confirmByHeaders({ ...options, repo, revision });
  const choice = { repo, companions, wanted, largestBytes };
  const { variant: model, passedOver } = await chooseFitting(variants, choice, confirm);
  const others = takesCompanions ? chooseCompanions(companions).filter(({ tag }) => tag !== model.tag) : [];
  return [
    { ...planFiles(reference, model, options), passedOver },
    ...others.map((one) => planFiles(reference, one, options)),
  ];
}

type RepoReference = Extract<PullReference, { kind: "repo" }>;

function planFiles({ repo, revision }: RepoReference, { tag, files }: Variant, options: PlanOptions): PullPlan {
  return {
    name: `${repo}:${tag}`,
    repo,
    tag,
    revision,
    folder: join(options.root, repo, tag),
    files: files.map((file) => ({
      ...sourceOf(options.requester.settings, repo, revision, file),
      fileName: file.path.slice(file.path.lastIndexOf("/") + 1),
    })),
    weightsFolder: null,
  };
}

/** In a folder that is called as the model is: what is made of it gets its name. */
function planWeights(reference: RepoReference, files: readonly RepositoryFile[], options: PlanOptions): PullPlan {
  const own = reference.repo.slice(reference.repo.indexOf("/") + 1);
  // An empty file says nothing, and no server gives a part of it.
  const filled = files.filter(({ sizeBytes }) => sizeBytes > 0);
  const plan = planFiles(reference, { tag: WEIGHTS_TAG, files: filled, sizeBytes: 0 }, options);
  return {
    ...plan,
    files: plan.files.map((file, at) => ({ ...file, fileName: `${own}/${filled[at]?.path}` })),
    weightsFolder: join(plan.folder, own),
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
  return { name, repo: null, tag: null, revision: null, folder: join(root, name), files: [file], weightsFolder: null };
}

function decodeName(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch (_malformed) {
    // Refused by the caller: no name of a file is written so.
    return null;
  }
}
