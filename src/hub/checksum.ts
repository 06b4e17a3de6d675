// The SHA-256 of a file, read in pieces so that others get their turn and memory stays small.

import { open } from "node:fs/promises";
import { throwIfAborted } from "./requester.ts";

/** About a millisecond of work between two turns. */
const PIECE_BYTES = 1024 * 1024;

/** Hexadecimal. */
export async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  const buffer = new Uint8Array(PIECE_BYTES);
  const file = await open(path, "r");
  try {
    for (;;) {
      throwIfAborted(signal);
      const { bytesRead } = await file.read(buffer, 0, PIECE_BYTES, null);
      if (bytesRead === 0) return hasher.digest("hex");
      hasher.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}
