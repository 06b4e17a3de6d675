// A file on its way: its bytes under a hidden name, and beside it which of them are there, so that a download goes on
// after a kill at any moment. Bytes are written before they are noted; what a power cut loses in spite of that, the
// checksum finds.

import { type FileHandle, open, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { codeOf } from "../lib/system-error.ts";
import { AppError } from "../protocol/errors.ts";
import { addRange, areRanges, type ByteRange, countBytes } from "./byte-ranges.ts";
import { KEPT } from "./requester.ts";

export interface PartialOptions {
  path: string;
  sizeBytes: number;
  /** Of the content: bytes of another one are not kept. */
  identity: string | null;
  clock: Clock;
  /** For tests: disks that are full. */
  openFile?: typeof open;
}

/** A kill loses what was not noted: so much of a fast download is fetched again. */
const SAVE_INTERVAL_MS = 250;
/** Of the notes: two numbers for each gap. */
const NOTES_BYTES_MAX = 1024 * 1024;

export class PartialFile {
  readonly sizeBytes: number;
  #have: ByteRange[];
  #savedAtMs: number;
  #saving: Promise<void> = Promise.resolve();

  private constructor(
    private readonly options: PartialOptions,
    private readonly handle: FileHandle,
    have: ByteRange[],
  ) {
    this.sizeBytes = options.sizeBytes;
    this.#have = have;
    this.#savedAtMs = options.clock.monotonicMs();
  }

  /** Goes on with what is there of the same content. Throws `storage_unavailable`. */
  static async open(options: PartialOptions): Promise<PartialFile> {
    const { path, openFile = open } = options;
    try {
      const have = await readNotes(options);
      const handle = await openFile(path, have.length > 0 ? "r+" : "w+");
      return new PartialFile(options, handle, have);
    } catch (thrown) {
      throw explainDisk(thrown, path);
    }
  }

  get have(): readonly ByteRange[] {
    return this.#have;
  }

  get doneBytes(): number {
    return countBytes(this.#have);
  }

  /** Throws `storage_unavailable`. */
  async write(offset: number, bytes: Uint8Array): Promise<void> {
    try {
      let done = 0;
      while (done < bytes.byteLength) {
        const { bytesWritten } = await this.handle.write(bytes, done, bytes.byteLength - done, offset + done);
        done += bytesWritten;
      }
      this.#have = addRange(this.#have, [offset, offset + bytes.byteLength]);
      if (this.options.clock.monotonicMs() - this.#savedAtMs >= SAVE_INTERVAL_MS) await this.save();
    } catch (thrown) {
      throw explainDisk(thrown, this.options.path);
    }
  }

  /** Notes what is there. */
  async save(): Promise<void> {
    this.#savedAtMs = this.options.clock.monotonicMs();
    const { path, identity, sizeBytes } = this.options;
    const text = JSON.stringify({ identity, sizeBytes, have: this.#have });
    // One after the other: they share a name until they are complete.
    const write = async (): Promise<void> => {
      await writeFile(`${notesOf(path)}.new`, text);
      await rename(`${notesOf(path)}.new`, notesOf(path));
    };
    this.#saving = this.#saving.then(write, write);
    await this.#saving;
  }

  /** Forgets what is there: it is of no use. */
  async reset(): Promise<void> {
    this.#have = [];
    await this.save();
  }

  /** Everything that was written is on the disk, and stays for the next time. */
  async close(): Promise<void> {
    try {
      await this.save();
      if (this.doneBytes === this.sizeBytes) await this.handle.sync();
    } catch (thrown) {
      throw explainDisk(thrown, this.options.path);
    } finally {
      await this.handle.close();
    }
  }
}

const notesOf = (path: string): string => `${path}.json`;

/** Both the bytes and what is noted of them. */
export async function removePartial(path: string): Promise<void> {
  for (const file of [path, notesOf(path), `${notesOf(path)}.new`]) await rm(file, { force: true });
}

/** The bytes have become a file of another name: what was noted of them goes. */
export async function removeNotes(path: string): Promise<void> {
  for (const file of [notesOf(path), `${notesOf(path)}.new`]) await rm(file, { force: true });
}

async function readNotes({ path, sizeBytes, identity }: PartialOptions): Promise<ByteRange[]> {
  try {
    const notes = notesOf(path);
    if ((await stat(notes)).size > NOTES_BYTES_MAX) return [];
    const value = JSON.parse(await readFile(notes, "utf8"));
    const same = value?.identity === identity && value?.sizeBytes === sizeBytes && areRanges(value?.have, sizeBytes);
    if (!same) return [];
    const have: ByteRange[] = value.have;
    // A file that is shorter than its notes say was cut by somebody else.
    return (await stat(path)).size >= (have.at(-1)?.[1] ?? 0) ? have : [];
  } catch (_none) {
    // No notes, or none that can be read: it begins anew.
    return [];
  }
}

/** What a disk refuses, as a person can act on it. */
export function explainDisk(thrown: unknown, path: string): AppError {
  if (thrown instanceof AppError) return thrown;
  const code = codeOf(thrown);
  const folder = dirname(path);
  const full = code === "ENOSPC" || code === "EDQUOT";
  const why = full ? "the disk is full" : thrown instanceof Error ? thrown.message : String(thrown);
  const hint = full ? `Free space, then ask again. ${KEPT}` : "Check the permissions of the models folder.";
  return new AppError(
    { code: "storage_unavailable", message: `${folder} can't be written: ${why}`, hint },
    { cause: thrown },
  );
}
