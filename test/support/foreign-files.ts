// Files that carry a model's name and are something else: what browsers, git and other tools leave behind.

import { makeNormalSource } from "./gguf-builder.ts";

const encode = (text: string) => new TextEncoder().encode(text);

export const FOREIGN_FILES: readonly [name: string, make: () => Uint8Array][] = [
  ["empty", () => new Uint8Array(0)],
  [
    "html",
    () => encode("<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head><body>Not here.</body></html>\n"),
  ],
  ["json", () => encode('{"error":"Repository not found"}')],
  [
    "lfs-pointer",
    () => encode(`version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 4000000000\n`),
  ],
  ["zip", () => startWith([0x50, 0x4b, 0x03, 0x04, 0x14, 0, 0, 0], 4096)],
  ["gzip", () => startWith([0x1f, 0x8b, 0x08, 0x00], 4096)],
  [
    "safetensors",
    () => encode('\x40\0\0\0\0\0\0\0{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}          \0\0\0\0'),
  ],
  ["random", () => startWith([], 100_000)],
  ["zeros", () => new Uint8Array(1024 * 1024)],
  ["random-after-magic", () => startWith([0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0], 100_000)],
  [
    "zeros-after-magic",
    () => {
      const bytes = new Uint8Array(4096);
      bytes.set(encode("GGUF\x03"));
      return bytes;
    },
  ],
  ["old-ggjt", () => startWith([0x74, 0x6a, 0x67, 0x67, 3, 0, 0, 0], 4096)],
];

/** The bytes given, then random ones, the same in every run. */
function startWith(bytes: readonly number[], length: number): Uint8Array {
  const random = makeNormalSource("a foreign file");
  const file = Uint8Array.from({ length }, () => Math.floor(Math.abs(random()) * 4096));
  file.set(bytes);
  return file;
}
