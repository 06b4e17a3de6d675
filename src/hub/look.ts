// Looks into a model of the Hub without downloading it: its headers by ranges, and whether what it takes is there on this
// machine. What the bytes mean is the reader's business, who runs again each time when more of them have arrived.

import type { Detection } from "../formats/detection.ts";
import type { FileSource } from "../formats/file-source.ts";
import { AppError } from "../protocol/errors.ts";
import { fetchRange, type RangeSource } from "./fetch-range.ts";
import type { PullReference } from "./reference.ts";
import { type Need, RemoteFiles } from "./remote-files.ts";
import { listRepository, type RepositoryFile, sourceOf } from "./repository.ts";
import type { Requester } from "./requester.ts";
import { chooseVariant, fitsMemory, listCompanions, listVariants } from "./variant.ts";
import { listWeightsSet, WEIGHTS_TAG } from "./weights-set.ts";

/** Reads headers, such as the detector: `path` is a file's or a folder's in `source`. May be called several times. */
export type ReadHeaders<T> = (source: FileSource, path: string) => T;

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
  signal: AbortSignal;
}

/**
 * Of one model. The largest known GGUF header has 30 MB, and is read in steps that double; headers of a thousand parts take
 * as much. More is not read for anybody who only asks.
 */
const LOOK_BYTES_MAX = 64 * 1024 * 1024;
/** The first bytes of every file that a verdict goes by: most headers of parts and all small files are in them. */
const FIRST_BYTES = 64 * 1024;
/** Of a GGUF file: it begins with a vocabulary, of megabytes. */
const FIRST_GGUF_BYTES = 1024 * 1024;
/** At once. */
const CONNECTIONS = 4;
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
  const subject = chooseSubject(listed, { repo, wanted: reference.tag, largestBytes });
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
}

/** What `pull` would take, else what there is. One that does not fit is looked into as well: that is what is asked. */
function chooseSubject(listed: RepositoryFile[], { repo, wanted, largestBytes }: Asked): Subject {
  const variants = listVariants(listed);
  const weights = listWeightsSet(listed);
  const isWeights = wanted === null ? variants.length === 0 : wanted.toLowerCase() === WEIGHTS_TAG;
  if (weights !== null && isWeights) return { tag: WEIGHTS_TAG, files: weights, view: weights, path: "." };
  const companions = listCompanions(listed);
  if (variants.length > 0 || (companions.length > 0 && wanted !== null)) {
    const fitting = variants.some(({ sizeBytes }) => fitsMemory(sizeBytes, largestBytes) !== false);
    const smallest = variants.toSorted((a, b) => a.sizeBytes - b.sizeBytes)[0]?.tag ?? null;
    const choice = { repo, companions, wanted: wanted ?? (fitting ? null : smallest), largestBytes };
    const { tag, files } = chooseVariant(variants, choice);
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

async function readRemotely<T>(
  sources: ReadonlyMap<string, RangeSource>,
  { files, path }: Subject,
  { requester, signal }: LookOptions,
  read: ReadHeaders<T>,
): Promise<T> {
  const remote = new RemoteFiles([...sources].map(([name, { sizeBytes }]) => ({ path: name, sizeBytes })));
  let leftBytes = LOOK_BYTES_MAX;
  const fetchMore = async ({ path: name, range: [start, end] }: Need): Promise<void> => {
    const source = sources.get(name);
    if (source === undefined) throw new Error(`nothing is known of ${name}`);
    // What is read on from the beginning is read in steps that double; what is read elsewhere, as it is asked for.
    const isNext = start === remote.headBytes(name);
    const wanted = isNext ? Math.max(end, Math.min(2 * start, start + leftBytes, source.sizeBytes)) : end;
    if (wanted - start > leftBytes) throw tooLarge(source.asked.what);
    leftBytes -= wanted - start;
    remote.add(name, start, await fetchRange(requester, source, [start, wanted], signal));
  };
  const first = files.map(({ path: name, sizeBytes }, at): Need => {
    const bytes = at === 0 && /\.gguf$/i.test(name) ? FIRST_GGUF_BYTES : FIRST_BYTES;
    return { path: name, range: [0, Math.min(sizeBytes, bytes)] };
  });
  await fetchAll(
    first.filter(({ range }) => range[1] > 0),
    fetchMore,
  );
  for (;;) {
    const outcome = attempt(() => read(remote, path));
    // Whatever was made of bytes that had not arrived counts for nothing.
    const need = remote.takeNeed();
    if (need !== null) await fetchMore(need);
    else if ("thrown" in outcome) throw outcome.thrown;
    else return outcome.value;
  }
}

function attempt<T>(run: () => T): { value: T } | { thrown: unknown } {
  try {
    return { value: run() };
  } catch (thrown) {
    return { thrown };
  }
}

async function fetchAll(needs: Need[], fetchMore: (need: Need) => Promise<void>): Promise<void> {
  const work = async (): Promise<void> => {
    for (let need = needs.shift(); need !== undefined; need = needs.shift()) await fetchMore(need);
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, work));
}

function tooLarge(what: string): AppError {
  const message = `${what} has a larger header than is read before a download (${LOOK_BYTES_MAX / 1024 / 1024} MiB)`;
  return new AppError({ code: "not_supported", message, hint: "Download it, then look at it here." });
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
