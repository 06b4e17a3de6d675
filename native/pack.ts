// Which libraries travel compressed inside the binary, and how: those of GPUs, which most machines never unpack
// (src/router/backends/packed-files.ts). The others are small, and needed at every first start.

import type { PackedEntry } from "../src/router/backends/packed-files.ts";

const PACKED = /^libggml-cuda\./;

/** zstd's highest without its memory for ultra levels: it is done once for each build, and unpacks as fast as any. */
const LEVEL = 19;

export function travelsPacked(name: string): boolean {
  return PACKED.test(name);
}

export async function packLibrary(
  name: string,
  content: Uint8Array<ArrayBuffer>,
): Promise<{ entry: PackedEntry; packed: Uint8Array }> {
  const sha256 = new Bun.CryptoHasher("sha256").update(content).digest("hex");
  return {
    entry: { name, bytes: content.byteLength, sha256 },
    packed: await Bun.zstdCompress(content, { level: LEVEL }),
  };
}
