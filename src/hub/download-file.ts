// Fetches one file: several pieces at once, each tried again where it stopped, into a partial file that outlives a kill.
// Whether the bytes are the right ones is found out afterwards (checksum.ts); that they all are of one content, here.

import { AppError } from "../protocol/errors.ts";
import { type ByteRange, missingRanges } from "./byte-ranges.ts";
import { PartialFile, type PartialOptions, removePartial } from "./partial-file.ts";
import { type Arrived, readBody } from "./read-body.ts";
import type { Reply, Request, Requester } from "./requester.ts";

export interface DownloadSource {
  url: string;
  asked: Request["asked"];
  /** As the listing has them; null: not known before. */
  sizeBytes: number | null;
  sha256: string | null;
}

export interface DownloadOptions {
  requester: Requester;
  /** Where the bytes go on their way. */
  path: string;
  signal: AbortSignal;
  /** Called at the start, also with what was there, and for every write. */
  onProgress: (doneBytes: number, totalBytes: number) => void;
  /** Called before the first byte; throws when there is no room for so many more. */
  checkSpace: (missingBytes: number) => Promise<void>;
  openFile?: PartialOptions["openFile"];
}

export interface Downloaded {
  sizeBytes: number;
  commit: string | null;
}

/** The content is another one than at the start: what was fetched is of no use, and a listing may be old. */
export class SourceChangedError extends Error {
  constructor(what: string) {
    super(`${what} changed while it was downloaded`);
    this.name = "SourceChangedError";
  }
}

/** A piece that gets so far before it breaks off has made progress: its tries are counted anew. */
const PROGRESS_BYTES_MIN = 64 * 1024;

/** Throws AppError, or SourceChangedError when the file changes meanwhile. */
export async function downloadFile(source: DownloadSource, options: DownloadOptions): Promise<Downloaded> {
  const { requester, path, openFile } = options;
  const probe = await probeSource(source, options);
  const { sizeBytes, identity } = probe;
  const partial = await PartialFile.open({
    path,
    sizeBytes,
    identity: source.sha256 ?? identity,
    clock: requester.clock,
    ...(openFile === undefined ? {} : { openFile }),
  });
  try {
    await options.checkSpace(sizeBytes - partial.doneBytes);
    options.onProgress(partial.doneBytes, sizeBytes);
    const transfer = new Transfer(source, options, partial, identity);
    await (probe.takesRanges ? transfer.fetchPieces() : transfer.fetchWhole());
  } catch (thrown) {
    if (thrown instanceof SourceChangedError) await partial.reset();
    throw thrown;
  } finally {
    await partial.close();
  }
  return { sizeBytes, commit: probe.commit };
}

interface Probe {
  sizeBytes: number;
  identity: string | null;
  commit: string | null;
  takesRanges: boolean;
}

/** One byte of it: how long it is, what it is, and whether it comes in pieces. */
async function probeSource(
  { url, asked, sizeBytes, sha256 }: DownloadSource,
  options: DownloadOptions,
): Promise<Probe> {
  const { requester, signal } = options;
  const reply = await requester.get({ url, asked, signal, headers: { Range: "bytes=0-0" } });
  reply.cancel();
  const { response, identity, commit } = reply;
  const range = readContentRange(response);
  const length = response.headers.get("Content-Length") ?? "";
  const told = response.status === 200 && /^\d{1,15}$/.test(length) ? Number(length) : sizeBytes;
  const total = range?.total ?? told;
  if (total === null || total === 0) {
    const message = `${asked.what}: the server does not say how long the file is`;
    throw new AppError({ code: "not_supported", message, hint: "Fetch it by other means, into the models folder." });
  }
  const isOther = sha256 !== null && identity !== null && /^[0-9a-f]{64}$/.test(identity) && identity !== sha256;
  if (isOther || (sizeBytes !== null && total !== sizeBytes)) {
    // Bytes of the old content would be taken for bytes of the new one.
    await removePartial(options.path);
    throw new SourceChangedError(asked.what);
  }
  return { sizeBytes: total, identity, commit, takesRanges: range !== null };
}

class Transfer {
  readonly #stop: AbortController = new AbortController();
  readonly #signal: AbortSignal;

  constructor(
    private readonly source: DownloadSource,
    private readonly options: DownloadOptions,
    private readonly partial: PartialFile,
    private readonly identity: string | null,
  ) {
    this.#signal = AbortSignal.any([options.signal, this.#stop.signal]);
  }

  /** The first piece that fails for good ends the others. */
  async fetchPieces(): Promise<void> {
    const { connections, pieceBytes } = this.options.requester.limits;
    const queue = missingRanges(this.partial.have, this.partial.sizeBytes, pieceBytes);
    const failures: unknown[] = [];
    const work = async (): Promise<void> => {
      try {
        for (let piece = queue.shift(); piece !== undefined; piece = queue.shift()) await this.#fetchPiece(piece);
      } catch (thrown) {
        failures.push(thrown);
        this.#stop.abort();
      }
    };
    await Promise.all(Array.from({ length: Math.min(connections, queue.length) }, work));
    if (failures.length > 0) throw failures[0];
  }

  async #fetchPiece([start, end]: ByteRange): Promise<void> {
    let at = start;
    for (let attempt = 1; at < end; ) {
      const reply = await this.#ask({ Range: `bytes=${at}-${end - 1}` });
      const range = readContentRange(reply.response);
      const fits = range !== null && range.start === at && range.total === this.partial.sizeBytes;
      const arrived = fits ? await this.#readBody(reply, at, end) : this.#refuse(reply, "it sent other bytes");
      at += arrived.bytes;
      if (at >= end) return;
      attempt = arrived.bytes >= PROGRESS_BYTES_MIN ? 1 : attempt + 1;
      await this.#endOrPause(attempt, arrived.why);
    }
  }

  /** For a server that gives no pieces: from the beginning, every time. */
  async fetchWhole(): Promise<void> {
    const { sizeBytes } = this.partial;
    for (let attempt = 1; ; ) {
      await this.partial.reset();
      const arrived = await this.#readBody(await this.#ask({}), 0, sizeBytes);
      if (arrived.bytes === sizeBytes) return;
      attempt += 1;
      await this.#endOrPause(attempt, arrived.why);
    }
  }

  async #ask(headers: Record<string, string>): Promise<Reply> {
    const { url, asked } = this.source;
    const reply = await this.options.requester.get({ url, asked, headers, signal: this.#signal });
    if (reply.identity === this.identity) return reply;
    reply.cancel();
    throw new SourceChangedError(asked.what);
  }

  #refuse(reply: Reply, why: string): Arrived {
    reply.cancel();
    return { bytes: 0, why };
  }

  /** Writes what comes, up to `end`. A body that breaks off is a result; a disk that is full is not. */
  async #readBody(reply: Reply, start: number, end: number): Promise<Arrived> {
    const { requester, onProgress } = this.options;
    return await readBody(requester, reply, end - start, async (bytes, at) => {
      await this.partial.write(start + at, bytes);
      onProgress(this.partial.doneBytes, this.partial.sizeBytes);
    });
  }

  async #endOrPause(attempt: number, why: string): Promise<void> {
    const { requester } = this.options;
    const { what } = this.source.asked;
    const message = `the download of ${what} broke off: ${why}`;
    if (attempt > requester.limits.attemptsMax) {
      throw new AppError({ code: "download_failed", message, hint: "Try again: what has arrived is kept." });
    }
    await requester.pause(attempt - 1, null, message, this.#signal);
  }
}

/** `bytes 0-99/1234` of a 206; null: it is none. */
export function readContentRange(response: Response): { start: number; total: number } | null {
  if (response.status !== 206) return null;
  const match = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15})$/.exec(response.headers.get("Content-Range") ?? "");
  return match === null ? null : { start: Number(match[1]), total: Number(match[2]) };
}
