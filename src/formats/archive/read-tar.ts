// The names of a tar archive's first entries: enough to tell what was packed. Nothing is unpacked, names lead nowhere.

import { type ReadAt, readBytes } from "../read-at.ts";

const BLOCK_BYTES = 512;
/** What an archive holds shows itself in its first entries. */
const ENTRIES_MAX = 64;

/** `cut` is true where an entry reaches beyond the file's end. */
export function listTar(file: ReadAt): { names: string[]; cut: boolean } {
  const names: string[] = [];
  let at = 0;
  while (names.length < ENTRIES_MAX && at + BLOCK_BYTES <= file.sizeBytes) {
    const block = readBytes(file, at, BLOCK_BYTES);
    if (block.byteLength < BLOCK_BYTES || block.every((byte) => byte === 0)) break;
    if (readText(block, 257, 5) !== "ustar") return { names, cut: names.length > 0 };
    const size = Number.parseInt(readText(block, 124, 12).trim() || "0", 8);
    if (!Number.isSafeInteger(size) || size < 0) return { names, cut: true };
    names.push(readText(block, 0, 100));
    at += BLOCK_BYTES + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
    // Entries are filled up to whole blocks, so the last one's end is within the file.
    if (at > file.sizeBytes) return { names, cut: true };
  }
  return { names, cut: false };
}

function readText(block: Uint8Array, at: number, length: number): string {
  const bytes = block.subarray(at, at + length);
  const end = bytes.indexOf(0);
  return String.fromCharCode(...(end === -1 ? bytes : bytes.subarray(0, end)));
}
