// Reads files for the system's page cache alone: what is read is dropped. Knows nothing of who needs them, or of memory.

import { open } from "node:fs/promises";

/** Large enough for a disk's full speed, small enough to stop soon. */
const CHUNK_BYTES = 4 * 1024 * 1024;

/** In their order, until `bytesMax` are read or nobody wants it any more. Throws what opening and reading throw. */
export async function readThrough(paths: readonly string[], bytesMax: number, signal: AbortSignal): Promise<number> {
  const chunk = new Uint8Array(CHUNK_BYTES);
  let done = 0;
  for (const path of paths) {
    const file = await open(path, "r");
    try {
      while (done < bytesMax && !signal.aborted) {
        const { bytesRead } = await file.read(chunk, 0, Math.min(CHUNK_BYTES, bytesMax - done), null);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
    } finally {
      await file.close();
    }
  }
  return done;
}
