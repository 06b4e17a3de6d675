// What tells one model's state from another's: a key of everything that shapes its bytes. The weights are not read
// whole, which would take minutes: their headers, their sizes, and blocks from everywhere in them are.

import { closeSync, fstatSync, openSync, readdirSync, readSync } from "node:fs";
import { basename, dirname, join } from "node:path";

const EDGE_BYTES = 1024 * 1024;
const BLOCK_BYTES = 4096;
const BLOCKS = 256;
const SPLIT = /-\d{5}-of-\d{5}\.gguf$/;

/** Hex, 32 characters. `parts`: the build, the layout of states, and whatever else shapes them. */
export function keyOfModel(modelPath: string, parts: readonly string[]): string {
  const hasher = new Bun.CryptoHasher("sha256").update(JSON.stringify(parts));
  for (const path of listFiles(modelPath)) addFile(hasher, path);
  return hasher.digest("hex").slice(0, 32);
}

/** Of a file's whole content, hex. Adapters are small beside a model. */
export function hashFile(path: string): string {
  const hasher = new Bun.CryptoHasher("sha256");
  const file = openSync(path, "r");
  try {
    const buffer = new Uint8Array(EDGE_BYTES);
    for (;;) {
      const count = readSync(file, buffer, 0, EDGE_BYTES, null);
      if (count === 0) return hasher.digest("hex");
      hasher.update(buffer.subarray(0, count));
    }
  } finally {
    closeSync(file);
  }
}

/** A split model's parts are one model. */
function listFiles(modelPath: string): string[] {
  const name = basename(modelPath);
  if (!SPLIT.test(name)) return [modelPath];
  const stem = name.replace(SPLIT, "");
  const folder = dirname(modelPath);
  const siblings = readdirSync(folder).filter((other) => SPLIT.test(other) && other.replace(SPLIT, "") === stem);
  return siblings.sort().map((other) => join(folder, other));
}

function addFile(hasher: Bun.CryptoHasher, path: string): void {
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    hasher.update(String(size));
    const buffer = new Uint8Array(EDGE_BYTES);
    const add = (at: number, length: number): void => {
      hasher.update(buffer.subarray(0, readSync(file, buffer, 0, length, Math.max(0, at))));
    };
    add(0, EDGE_BYTES);
    add(size - EDGE_BYTES, EDGE_BYTES);
    for (let i = 1; i <= BLOCKS; i++) add(Math.floor((size / (BLOCKS + 1)) * i), BLOCK_BYTES);
  } finally {
    closeSync(file);
  }
}
