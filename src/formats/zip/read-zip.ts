// A zip archive's table of contents, and single small entries of it. Never unpacks an archive: names are checked as if it
// would, sizes are bounded before anything is inflated, and nothing is ever written.

import { inflateRawSync } from "node:zlib";
import { type ReadAt, readBytes } from "../read-at.ts";
import { OutOfFileError, WindowedFile } from "../windowed-file.ts";

export interface ZipEntry {
  name: string;
  /** 0: stored as it is, 8: deflated. */
  method: number;
  packedBytes: number;
  bytes: number;
  /** Where the entry's own header lies in the file. */
  headerAt: number;
}

/** `truncated`: the table at the archive's end is not there. `damaged`: it contradicts itself. `limit`: no real model has that. */
export type ZipReason = "truncated" | "damaged" | "unsafe" | "limit" | "unsupported";

export class ZipError extends Error {
  readonly reason: ZipReason;

  constructor(reason: ZipReason, message: string) {
    super(message);
    this.name = "ZipError";
    this.reason = reason;
  }
}

/** A checkpoint has an entry per storage: some ten thousand at most. */
const ENTRIES_MAX = 65_536;
/** The table of that many entries with names of usual length. */
const DIRECTORY_BYTES_MAX = 16 * 1024 * 1024;
const END_BYTES = 22;
/** The longest comment that the format allows lies behind the end record. */
const COMMENT_BYTES_MAX = 65_535;
const ENTRY_BYTES = 46;
const LOCAL_BYTES = 30;
const NAME_BYTES_MAX = 1_024;
const END_MAGIC = 0x06054b50;
const END64_MAGIC = 0x06064b50;
const LOCATOR_MAGIC = 0x07064b50;
const ENTRY_MAGIC = 0x02014b50;
const LOCAL_MAGIC = 0x04034b50;

/** Throws `ZipError`. */
export function readZipDirectory(file: ReadAt): ZipEntry[] {
  try {
    const view = new WindowedFile(file);
    return readEntries(view, findDirectory(file, view));
  } catch (thrown) {
    if (thrown instanceof OutOfFileError) throw new ZipError("damaged", `the archive's table: ${thrown.message}`);
    throw thrown;
  }
}

interface Directory {
  count: number;
  bytes: number;
  at: number;
  /** Bytes before the archive that its own numbers do not count. */
  shift: number;
}

function findDirectory(file: ReadAt, view: WindowedFile): Directory {
  const endAt = findEnd(file);
  const locatorAt = endAt - 20;
  const wide = locatorAt >= 0 && view.u32(locatorAt) === LOCATOR_MAGIC;
  const recordAt = wide ? toSize(view.u64(locatorAt + 8)) : endAt;
  if (wide && view.u32(recordAt) !== END64_MAGIC)
    throw new ZipError("damaged", "the archive's 64-bit end is not there");
  const count = wide ? toSize(view.u64(recordAt + 32)) : view.u16(endAt + 10);
  const bytes = wide ? toSize(view.u64(recordAt + 40)) : view.u32(endAt + 12);
  const claimedAt = wide ? toSize(view.u64(recordAt + 48)) : view.u32(endAt + 16);
  if (count > ENTRIES_MAX)
    throw new ZipError("limit", `the archive claims ${count} entries; at most ${ENTRIES_MAX} are read`);
  if (bytes > DIRECTORY_BYTES_MAX) throw new ZipError("limit", `the archive's table claims ${bytes} bytes`);
  // A program may stand before the archive without being counted: then everything lies later than it says.
  const at = (wide ? recordAt : endAt) - bytes;
  if (at < 0 || claimedAt > at) throw new ZipError("damaged", "the archive's table does not lie where its end says");
  return { count, bytes, at, shift: at - claimedAt };
}

/** The end record's place, from the back: behind it there is at most a comment. */
function findEnd(file: ReadAt): number {
  for (const reach of [END_BYTES, 1_024, END_BYTES + COMMENT_BYTES_MAX]) {
    const start = Math.max(0, file.sizeBytes - reach);
    const tail = readBytes(file, start, reach);
    const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
    for (let at = tail.byteLength - END_BYTES; at >= 0; at--) {
      if (
        view.getUint32(at, true) === END_MAGIC &&
        at + END_BYTES + view.getUint16(at + 20, true) === tail.byteLength
      ) {
        return start + at;
      }
    }
  }
  throw new ZipError("truncated", "the archive's end is missing: the file was cut, or is no zip archive");
}

function readEntries(view: WindowedFile, { at: start, bytes, count, shift }: Directory): ZipEntry[] {
  const entries: ZipEntry[] = [];
  const names = new Set<string>();
  let at = start;
  for (let index = 0; index < count; index++) {
    if (at + ENTRY_BYTES > start + bytes || view.u32(at) !== ENTRY_MAGIC) {
      throw new ZipError("damaged", `the archive's table ends after ${index} of ${count} entries`);
    }
    const nameBytes = view.u16(at + 28);
    const extraBytes = view.u16(at + 30);
    if (nameBytes > NAME_BYTES_MAX) throw new ZipError("limit", `an entry's name has ${nameBytes} bytes`);
    const name = view.text(at + ENTRY_BYTES, nameBytes);
    checkName(name);
    if (names.has(name)) throw new ZipError("damaged", `the entry "${name}" occurs twice`);
    names.add(name);
    const entry = readEntry(view, at, name, at + ENTRY_BYTES + nameBytes, extraBytes);
    entries.push({ ...entry, headerAt: entry.headerAt + shift });
    at += ENTRY_BYTES + nameBytes + extraBytes + view.u16(at + 32);
  }
  return entries;
}

/** Nothing is unpacked here, but what others would unpack to another place is not worth reading. */
function checkName(name: string): void {
  const outside = name.startsWith("/") || /^[a-z]:/i.test(name) || name.split(/[\\/]/).includes("..");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this refuses.
  if (!outside && !/[\u0000-\u001f]/.test(name)) return;
  const shown = name.replace(/[^\P{C}]/gu, "?").slice(0, 80);
  throw new ZipError("unsafe", `the archive has an entry that leads out of it: "${shown}"`);
}

function readEntry(view: WindowedFile, at: number, name: string, extraAt: number, extraBytes: number): ZipEntry {
  let packedBytes = view.u32(at + 20);
  let bytes = view.u32(at + 24);
  let headerAt = view.u32(at + 42);
  // Fields of 32 bits that are full have their value in the 64-bit extra field, in this order.
  let wideAt = findWideFields(view, extraAt, extraBytes);
  const widen = (value: number): number => {
    if (value !== 0xffffffff || wideAt === null) return value;
    wideAt += 8;
    return toSize(view.u64(wideAt - 8));
  };
  bytes = widen(bytes);
  packedBytes = widen(packedBytes);
  headerAt = widen(headerAt);
  return { name, method: view.u16(at + 10), packedBytes, bytes, headerAt };
}

function findWideFields(view: WindowedFile, start: number, bytes: number): number | null {
  for (let at = start; at + 4 <= start + bytes; at += 4 + view.u16(at + 2)) {
    if (view.u16(at) === 1) return at + 4;
  }
  return null;
}

function toSize(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new ZipError("limit", `the archive claims a size of ${value}`);
  return Number(value);
}

/** Where an entry's bytes begin, checked against the file's end. Throws `ZipError`. */
export function locateZipEntry(file: ReadAt, entry: ZipEntry): number {
  const head = readBytes(file, entry.headerAt, LOCAL_BYTES);
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.byteLength < LOCAL_BYTES || view.getUint32(0, true) !== LOCAL_MAGIC) {
    throw new ZipError("damaged", `the entry "${entry.name}" does not lie where the archive's table says`);
  }
  const at = entry.headerAt + LOCAL_BYTES + view.getUint16(26, true) + view.getUint16(28, true);
  if (at + entry.packedBytes > file.sizeBytes) {
    throw new ZipError("damaged", `the entry "${entry.name}" reaches beyond the file's end`);
  }
  return at;
}

/** A whole entry of at most `bytesMax` bytes; an archive that unfolds to more than it says is refused. Throws `ZipError`. */
export function readZipEntry(file: ReadAt, entry: ZipEntry, bytesMax: number): Uint8Array {
  if (entry.bytes > bytesMax || entry.packedBytes > bytesMax) {
    throw new ZipError("limit", `the entry "${entry.name}" has ${entry.bytes} bytes; at most ${bytesMax} are read`);
  }
  const packed = readBytes(file, locateZipEntry(file, entry), entry.packedBytes);
  if (entry.method === 0) return packed;
  if (entry.method !== 8) throw new ZipError("unsupported", `"${entry.name}" is packed by method ${entry.method}`);
  try {
    return new Uint8Array(inflateRawSync(packed, { maxOutputLength: Math.max(1, entry.bytes) }));
  } catch (_broken) {
    // Corrupt, or larger than it says: neither is worth telling apart.
    throw new ZipError(
      "damaged",
      `the entry "${entry.name}" does not unpack to the ${entry.bytes} bytes that it claims`,
    );
  }
}
