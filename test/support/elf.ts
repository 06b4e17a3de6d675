// Reads what the dynamic loader would of a 64-bit little-endian ELF library: what it needs, where it looks, and what it
// exports. Tests only; it knows nothing of sections.

import { readFileSync } from "node:fs";

export interface ElfLibrary {
  soname: string | null;
  needed: string[];
  runpath: string | null;
  /** Names of defined symbols that others can see. */
  exported: string[];
}

const SEGMENT_LOAD = 1;
const SEGMENT_DYNAMIC = 2;
const DYNAMIC = { needed: 1, stringTable: 5, symbolTable: 6, soname: 14, rpath: 15, runpath: 29, gnuHash: 0x6ffffef5 };
const SYMBOL_BYTES = 24;
const BIND_LOCAL = 0;

interface Segment {
  type: number;
  offset: number;
  address: number;
  bytes: number;
}

export function readElf(path: string): ElfLibrary {
  const bytes = readFileSync(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, false) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1) {
    throw new Error(`${path} is not a 64-bit little-endian ELF file`);
  }
  const segments = readSegments(view);
  const toOffset = (address: number): number => {
    const home = segments.find(
      (segment) =>
        segment.type === SEGMENT_LOAD && address >= segment.address && address < segment.address + segment.bytes,
    );
    if (home === undefined) throw new Error(`${path}: the address ${address} is in no segment`);
    return address - home.address + home.offset;
  };
  const entries = readDynamic(view, segments);
  const valuesOf = (tag: number): number[] => entries.filter((entry) => entry.tag === tag).map((entry) => entry.value);
  const strings = toOffset(required(valuesOf(DYNAMIC.stringTable)[0], "a string table"));
  const textAt = (index: number): string => {
    const start = strings + index;
    return bytes.toString("latin1", start, bytes.indexOf(0, start));
  };
  const textOf = (tag: number): string | null => valuesOf(tag).map(textAt)[0] ?? null;
  const symbols = toOffset(required(valuesOf(DYNAMIC.symbolTable)[0], "a symbol table"));
  const hash = toOffset(required(valuesOf(DYNAMIC.gnuHash)[0], "a GNU hash table"));
  return {
    soname: textOf(DYNAMIC.soname),
    needed: valuesOf(DYNAMIC.needed).map(textAt),
    runpath: textOf(DYNAMIC.runpath) ?? textOf(DYNAMIC.rpath),
    exported: readExported(view, symbols, countSymbols(view, hash), textAt),
  };
}

function readSegments(view: DataView): Segment[] {
  const start = Number(view.getBigUint64(32, true));
  const entryBytes = view.getUint16(54, true);
  return Array.from({ length: view.getUint16(56, true) }, (_, i) => {
    const at = start + i * entryBytes;
    return {
      type: view.getUint32(at, true),
      offset: Number(view.getBigUint64(at + 8, true)),
      address: Number(view.getBigUint64(at + 16, true)),
      bytes: Number(view.getBigUint64(at + 32, true)),
    };
  });
}

function readDynamic(view: DataView, segments: readonly Segment[]): { tag: number; value: number }[] {
  const dynamic = required(
    segments.find((segment) => segment.type === SEGMENT_DYNAMIC),
    "a dynamic segment",
  );
  const entries: { tag: number; value: number }[] = [];
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.bytes; at += 16) {
    const tag = Number(view.getBigUint64(at, true));
    if (tag === 0) break;
    entries.push({ tag, value: Number(view.getBigUint64(at + 8, true)) });
  }
  return entries;
}

/** The symbol table does not say how long it is: the last chain of the GNU hash table ends at the last symbol. */
function countSymbols(view: DataView, hash: number): number {
  const buckets = view.getUint32(hash, true);
  const firstHashed = view.getUint32(hash + 4, true);
  const bloomWords = view.getUint32(hash + 8, true);
  const bucketsAt = hash + 16 + 8 * bloomWords;
  let last = 0;
  for (let i = 0; i < buckets; i++) last = Math.max(last, view.getUint32(bucketsAt + 4 * i, true));
  if (last < firstHashed) return firstHashed;
  const chains = bucketsAt + 4 * buckets;
  while ((view.getUint32(chains + 4 * (last - firstHashed), true) & 1) === 0) last++;
  return last + 1;
}

function readExported(view: DataView, table: number, count: number, textAt: (index: number) => string): string[] {
  const names: string[] = [];
  for (let i = 1; i < count; i++) {
    const at = table + i * SYMBOL_BYTES;
    const bind = view.getUint8(at + 4) >> 4;
    const section = view.getUint16(at + 6, true);
    if (section !== 0 && bind !== BIND_LOCAL) names.push(textAt(view.getUint32(at, true)));
  }
  return names.sort();
}

function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`the ELF file has no ${what}`);
  return value;
}
