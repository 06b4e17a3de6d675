// What a file that is not a GGUF seems to be, from its first bytes: only to make an error message helpful.

import { SNIFF_BYTES, type Sniffed, sniff } from "./sniff.ts";

/** As many first bytes as `guessFormat` looks at. */
export const MAGIC_BYTES = SNIFF_BYTES;

const SEEMS: Readonly<Partial<Record<Sniffed, string>>> = {
  zeros: "a file of zero bytes: a download that never arrived",
  "lfs-pointer": "a Git-LFS pointer: the download is missing",
  html: "an HTML page: the download went wrong",
  zip: "a PyTorch checkpoint (zip) or another zip archive",
  safetensors: "a safetensors file",
  hdf5: "an HDF5 file, such as a Keras model",
  pickle: "a PyTorch checkpoint (pickle)",
  npy: "a NumPy array",
  gzip: "a gzip archive: unpack it",
  zstd: "a zstd archive: unpack it",
  xz: "an xz archive: unpack it",
  bzip2: "a bzip2 archive: unpack it",
  "7z": "a 7z archive: unpack it",
  rar: "a rar archive: unpack it",
  tar: "a tar archive: unpack it",
  ggml: "an old GGML file from before GGUF",
  tflite: "a TensorFlow Lite model",
  executorch: "an ExecuTorch program",
  tensorrt: "a TensorRT engine",
  json: "JSON text",
};

/** Words for a message ("a safetensors file"), or null when the bytes say nothing. */
export function guessFormat(head: Uint8Array): string | null {
  return SEEMS[sniff(head, head.byteLength)] ?? null;
}
