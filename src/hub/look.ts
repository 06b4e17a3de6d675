// Looks into a model of the Hub without downloading it: its headers by ranges, and whether what it takes is there on this
// machine. What the bytes mean is the reader's business, who runs again each time when more of them have arrived.

import type { Detection } from "../formats/detection.ts";
import { AppError } from "../protocol/errors.ts";
import { type ConfirmVariant, chooseFitting } from "./fitting-variant.ts";
import { confirmByHeaders, type PlanHeaders, type ReadHeaders, readRemotely } from "./read-remotely.ts";
import type { PullReference } from "./reference.ts";
import { listRepository, type RepositoryFile, sourceOf } from "./repository.ts";
import type { Requester } from "./requester.ts";
import { type Companion, fitsMemory, listCompanions, listVariants, type Variant } from "./variant.ts";
import { listWeightsSet, WEIGHTS_TAG } from "./weights-set.ts";

/** What something takes of what there is; null: not known. */
export interface Fit {
  neededBytes: number | null;
  availableBytes: number | null;
  fits: boolean | null;
}

export interface Look<T> {
  /** As `pull` takes it; null: `pull` does not fetch files of its kind. */
  name: string | null;
  repo: string;
  /** What a download brings. */
  downloadBytes: number;
  /** Of weights, against the largest that leave room for all else that a model takes. */
  memory: Fit;
  /** Of the download, and of what it is converted to; some space always stays free. */
  disk: Fit;
  found: T;
}

export interface LookOptions {
  requester: Requester;
  largestBytes: number | null;
  /** Null: not known. */
  freeDiskBytes: () => Promise<number | null>;
  diskReserveBytes: number;
  /** Confirms what is chosen by its size; null: nothing does. */
  planHeaders: PlanHeaders | null;
  signal: AbortSignal;
}

/** A repository that is no model of a known kind may have any number of files; its beginning tells enough. */
const OTHER_FILES_MAX = 256;
const OTHER_WEIGHTS =
  /\.(gguf|onnx|tflite|pte|engine|plan|mlmodel|h5|keras|npz|pt|pth|ckpt|bin|nemo|llamafile|task|zip)$/i;

/** Throws AppError. */
export async function lookInto<T extends Detection>(
  reference: PullReference,
  options: LookOptions,
  read: ReadHeaders<T>,
): Promise<Look<T>> {
  if (reference.kind === "url") {
    const message = "only models of the Hub are looked into before they are downloaded";
    throw new AppError({ code: "invalid_request", message, hint: "Name it as owner/repo[:tag].", param: "path" });
  }
  const { requester, signal, largestBytes } = options;
  const { repo, revision } = reference;
  const listed = await listRepository(requester, repo, revision, signal);
  const confirm = confirmByHeaders({ ...options, repo, revision });
  const subject = await chooseSubject(listed, { repo, wanted: reference.tag, largestBytes, confirm });
  const sources = new Map(subject.view.map((file) => [file.path, sourceOf(requester.settings, repo, revision, file)]));
  const found = await readRemotely(sources, subject, options, read);
  const downloadBytes = sumBytes(subject.files);
  const { command, ...guidance } = found.guidance;
  const isUseful = found.verdict === "runs" || found.verdict.startsWith("convertible");
  const name = subject.tag === null ? null : `${repo}:${subject.tag}`;
  return {
    name,
    repo,
    downloadBytes,
    ...(await judgeFit(found, downloadBytes, options)),
    found: {
      ...found,
      path: `hf:${name ?? repo}`,
      guidance: { ...guidance, command: isUseful && name !== null ? pullCommand(name, found) : keepCommand(command) },
    },
  };
}

function pullCommand(name: string, { verdict }: Detection): string {
  return `ml-offload pull ${name}${verdict === "runs" ? "" : " --convert"}`;
}

/** What leads to other files is of use from here too; what would be done with these is not. */
function keepCommand(command: string | null): string | null {
  return command !== null && /^ml-offload (pull|search) /.test(command) ? command : null;
}

interface Subject {
  tag: string | null;
  /** What a download would bring. */
  files: RepositoryFile[];
  /** What the reader sees. */
  view: RepositoryFile[];
  path: string;
}

interface Asked {
  repo: string;
  wanted: string | null;
  largestBytes: number | null;
  confirm: ConfirmVariant | null;
}

/** One that does not fit is looked into as well: that is what is asked. */
async function chooseShown(variants: Variant[], companions: Companion[], asked: Asked): Promise<Variant> {
  const { repo, wanted, largestBytes, confirm } = asked;
  const choice = { repo, companions, wanted, largestBytes };
  try {
    return (await chooseFitting(variants, choice, confirm)).variant;
  } catch (thrown) {
    const smallest = variants.toSorted((a, b) => a.sizeBytes - b.sizeBytes)[0];
    if (smallest !== undefined && thrown instanceof AppError && thrown.code === "out_of_memory") return smallest;
    throw thrown;
  }
}

/** What `pull` would take, else what there is. */
async function chooseSubject(listed: RepositoryFile[], asked: Asked): Promise<Subject> {
  const { repo, wanted } = asked;
  const variants = listVariants(listed);
  const weights = listWeightsSet(listed);
  const isWeights = wanted === null ? variants.length === 0 : wanted.toLowerCase() === WEIGHTS_TAG;
  if (weights !== null && isWeights) return { tag: WEIGHTS_TAG, files: weights, view: weights, path: "." };
  const companions = listCompanions(listed);
  if (variants.length > 0 || (companions.length > 0 && wanted !== null)) {
    const { tag, files } = await chooseShown(variants, companions, asked);
    return { tag, files, view: files, path: files[0]?.path ?? "." };
  }
  const view = listed.slice(0, OTHER_FILES_MAX);
  if (view.length === 0 || wanted !== null) {
    const message = `${repo} has ${view.length === 0 ? "no files" : `no model ${JSON.stringify(wanted)}`}`;
    throw new AppError({ code: "model_not_found", message, hint: "Check the name.", param: "path" });
  }
  const others = view.filter(({ path }) => OTHER_WEIGHTS.test(path) && !/\.ml(package|modelc)\//.test(path));
  const largest = others.toSorted((a, b) => b.sizeBytes - a.sizeBytes)[0];
  const bundle = view
    .map(({ path }) => /^(.*\.ml(?:package|modelc))\//.exec(path)?.[1])
    .find((path) => path !== undefined);
  return { tag: null, files: largest === undefined ? view : [largest], view, path: largest?.path ?? bundle ?? "." };
}

async function judgeFit(
  { verdict, guidance }: Detection,
  downloadBytes: number,
  { largestBytes, freeDiskBytes, diskReserveBytes }: LookOptions,
): Promise<{ memory: Fit; disk: Fit }> {
  const isUseful = verdict === "runs" || verdict.startsWith("convertible");
  const weightsBytes = isUseful ? (guidance.memoryBytes ?? downloadBytes) : null;
  const converted = verdict.startsWith("convertible") ? (guidance.sizeBytes ?? 0) : 0;
  const neededBytes = downloadBytes + converted + diskReserveBytes;
  const freeBytes = await freeDiskBytes();
  return {
    memory: {
      neededBytes: weightsBytes,
      availableBytes: largestBytes,
      fits: weightsBytes === null ? null : fitsMemory(weightsBytes, largestBytes),
    },
    disk: { neededBytes, availableBytes: freeBytes, fits: freeBytes === null ? null : neededBytes <= freeBytes },
  };
}

function sumBytes(files: readonly RepositoryFile[]): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
