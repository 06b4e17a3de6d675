// Reads from an ELF library what the loader will ask for beside it. A few small reads, whatever the file's size; knows
// nothing of sections, symbols or other formats.

import { closeSync, openSync, readSync } from "node:fs";

const SEGMENT_LOAD = 1;
const SEGMENT_DYNAMIC = 2;
const TAG_NEEDED = 1;
const TAG_STRING_TABLE = 5;
const TAG_STRING_BYTES = 10;
/** Some thousand entries: more are a damaged file, not a library. */
const TABLE_BYTES_MAX = 1 << 20;

interface Segment {
  type: number;
  offset: number;
  address: number;
  bytes: number;
}

/** SONAMEs of the libraries that a 64-bit little-endian ELF file needs; null when it is no such file, or damaged. */
export function readNeededLibraries(path: string): string[] | null {
  const file = openSync(path, "r");
  try {
    return readNeeded((offset, bytes) => {
      const view = new DataView(new ArrayBuffer(bytes));
      return readSync(file, view, 0, bytes, offset) === bytes ? view : null;
    });
  } finally {
    closeSync(file);
  }
}

type Read = (offset: number, bytes: number) => DataView | null;

function readNeeded(read: Read): string[] | null {
  const header = read(0, 64);
  if (header === null || header.getUint32(0) !== 0x7f454c46 || header.getUint16(4) !== 0x0201) return null;
  const segments = readSegments(read, header);
  const dynamic = segments?.find(({ type }) => type === SEGMENT_DYNAMIC);
  const entries = dynamic === undefined ? null : readTable(read, dynamic.offset, dynamic.bytes);
  if (segments === null || entries === null) return null;
  const valuesOf = (tag: number): number[] => entries.filter((entry) => entry.tag === tag).map(({ value }) => value);
  const address = valuesOf(TAG_STRING_TABLE)[0] ?? -1;
  const home = segments.find((one) => one.type === SEGMENT_LOAD && isWithin(address, one));
  if (home === undefined) return null;
  const strings = readBounded(read, address - home.address + home.offset, valuesOf(TAG_STRING_BYTES)[0] ?? 0);
  if (strings === null) return null;
  const text = Buffer.from(strings.buffer);
  return valuesOf(TAG_NEEDED).map((start) => text.toString("latin1", start, text.indexOf(0, start)));
}

function isWithin(address: number, segment: Segment): boolean {
  return address >= segment.address && address < segment.address + segment.bytes;
}

function readBounded(read: Read, offset: number, bytes: number): DataView | null {
  return bytes > 0 && bytes <= TABLE_BYTES_MAX ? read(offset, bytes) : null;
}

function readSegments(read: Read, header: DataView): Segment[] | null {
  const [entryBytes, count] = [header.getUint16(54, true), header.getUint16(56, true)];
  const table = entryBytes < 56 ? null : readBounded(read, Number(header.getBigUint64(32, true)), entryBytes * count);
  if (table === null) return null;
  return Array.from({ length: count }, (_, i) => {
    const at = i * entryBytes;
    return {
      type: table.getUint32(at, true),
      offset: Number(table.getBigUint64(at + 8, true)),
      address: Number(table.getBigUint64(at + 16, true)),
      bytes: Number(table.getBigUint64(at + 32, true)),
    };
  });
}

function readTable(read: Read, offset: number, bytes: number): { tag: number; value: number }[] | null {
  const table = readBounded(read, offset, bytes);
  if (table === null) return null;
  const entries: { tag: number; value: number }[] = [];
  for (let at = 0; at + 16 <= bytes; at += 16) {
    const tag = Number(table.getBigUint64(at, true));
    if (tag === 0) break;
    entries.push({ tag, value: Number(table.getBigUint64(at + 8, true)) });
  }
  return entries;
}
