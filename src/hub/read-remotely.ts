// Reads headers of a repository's files by ranges: the reader runs again each time when more of them have arrived. What the
// bytes mean is the reader's business.

import type { FileSource } from "../formats/file-source.ts";
import { AppError } from "../protocol/errors.ts";
import { fetchRange, type RangeSource } from "./fetch-range.ts";
import type { ConfirmVariant } from "./fitting-variant.ts";
import { type Need, RemoteFiles } from "./remote-files.ts";
import { type RepositoryFile, sourceOf } from "./repository.ts";
import type { Requester } from "./requester.ts";

/** Reads headers, such as the detector: `path` is a file's or a folder's in `source`. May be called several times. */
export type ReadHeaders<T> = (source: FileSource, path: string) => T;

/** A reader of headers, and what is asked when all of them are there: whether the model fits; null: they do not tell. */
export type PlanHeaders = ReadHeaders<() => Promise<boolean | null>>;

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
export async function readRemotely<T>(
  sources: ReadonlyMap<string, RangeSource>,
  { files, path }: { files: readonly RepositoryFile[]; path: string },
  { requester, signal }: { requester: Requester; signal: AbortSignal },
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

/** Too large, changed since it was listed, or not to be had now. */
const NO_ANSWER: readonly string[] = ["not_supported", "download_failed"];

export interface ConfirmOptions {
  requester: Requester;
  repo: string;
  revision: string;
  planHeaders: PlanHeaders | null;
  signal: AbortSignal;
}

/** Null: there is nobody who could tell. */
export function confirmByHeaders(options: ConfirmOptions): ConfirmVariant | null {
  const { requester, repo, revision, planHeaders } = options;
  if (planHeaders === null) return null;
  return async ({ files }) => {
    const sources = new Map(files.map((file) => [file.path, sourceOf(requester.settings, repo, revision, file)]));
    try {
      const ask = await readRemotely(sources, { files, path: files[0]?.path ?? "." }, options, planHeaders);
      return await ask();
    } catch (thrown) {
      // What is no header to read before a download is no reason against the download, which tries again where that helps.
      if (thrown instanceof AppError && NO_ANSWER.includes(thrown.code)) return null;
      throw thrown;
    }
  };
}
