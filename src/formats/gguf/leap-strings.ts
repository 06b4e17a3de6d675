// Where a long array of texts ends, found by looking at a few places of it: a vocabulary with its merges has a million texts
// and tens of megabytes. Texts stand behind their lengths, so a place among them shows itself, and halving finds the last.
// Never sure of the count: whoever must be sure, or gets null, walks.

import { type ReadAt, readBytes } from "../read-at.ts";

/** Shorter arrays are walked in a tenth of a millisecond. */
export const LEAP_COUNT_MIN = 32_768;
/** Some two hundred texts. */
const LOOK_BYTES = 4_096;
/** Texts that have to follow each other: by chance no other bytes look like so many. */
const CHAIN = 16;
/** Of a text in a vocabulary; the longest are runs of spaces. */
const TEXT_BYTES_MAX = 512;
/** What is walked at the end. */
const REST_BYTES = 16 * 1024;
/** A looked-at place costs microseconds; real vocabularies take twenty. */
const LOOKS_MAX = 128;
/** As keys and names of tensors are written. */
const KEY = /^[a-z][\w-]*(\.[\w-]+)+$/;

/** The text's merges are two texts with a space between them. */
type Kind = "pairs" | "single";

interface Look {
  /** Where a text begins, as its length does. */
  at: number;
  kind: Kind;
}

/** `start`: of the first text. Null: nothing that can be relied on. */
export function findStringsEnd(file: ReadAt, start: number, count: number): number | null {
  const first = look(file, start, start);
  if (first === null || first.at !== start) return null;
  let low = first;
  // Each takes eight bytes at least.
  let high = start + 8 * count;
  let looks = 0;
  for (; ; high += 2 * count) {
    const found = high < file.sizeBytes ? look(file, start, high) : null;
    if (++looks > LOOKS_MAX) return null;
    if (found?.kind !== first.kind) break;
    low = found;
  }
  while (high - low.at > REST_BYTES) {
    const middle = low.at + Math.floor((high - low.at) / 2);
    const found = look(file, start, middle);
    if (++looks > LOOKS_MAX) return null;
    if (found?.kind === first.kind) low = found;
    else high = middle;
  }
  const end = findKey(file, low.at, high - low.at);
  return end === null || end < start + 8 * count ? null : end;
}

/** The first place from `from` on at which texts follow each other; null where none do. */
function look(file: ReadAt, start: number, from: number): Look | null {
  const bytes = readBytes(file, from, LOOK_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const last = from === start ? 0 : TEXT_BYTES_MAX;
  for (let offset = 0; offset <= last; offset++) {
    const pairs = countPairs(view, bytes, offset);
    if (pairs === null) continue;
    if (pairs >= CHAIN - 1) return { at: from + offset, kind: "pairs" };
    return pairs <= CHAIN / 2 ? { at: from + offset, kind: "single" } : null;
  }
  return null;
}

/** How many of the texts that begin here have a space within; null where they are no texts. */
function countPairs(view: DataView, bytes: Uint8Array, offset: number): number | null {
  let at = offset | 0;
  let pairs = 0;
  for (let text = 0; text < CHAIN; text++) {
    if (at + 8 > bytes.byteLength || view.getUint32(at + 4, true) !== 0) return null;
    const length = view.getUint32(at, true);
    const end = at + 8 + length;
    if (length === 0 || length > TEXT_BYTES_MAX || end > bytes.byteLength) return null;
    const space = bytes.indexOf(0x20, at + 9);
    if (space !== -1 && space < end - 1) pairs += 1;
    at = end | 0;
  }
  return pairs;
}

/** Walks texts until something else comes: of those the last is what follows them, a key or a tensor's name. */
function findKey(file: ReadAt, from: number, length: number): number | null {
  const bytes = readBytes(file, from, length + LOOK_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let before = 0;
  for (let at = 0; at + 8 <= bytes.byteLength; ) {
    const size = view.getUint32(at, true);
    if (view.getUint32(at + 4, true) !== 0 || at + 8 + size > bytes.byteLength) {
      const key = new TextDecoder("latin1").decode(bytes.subarray(before + 8, at));
      return KEY.test(key) ? from + before : null;
    }
    before = at;
    at += 8 + size;
  }
  return null;
}
