// What a file that is not a GGUF seems to be, from its first bytes: only to make an error message helpful.

/** As many first bytes as `guessFormat` looks at. */
export const MAGIC_BYTES = 512;

const ascii = (bytes: Uint8Array): string => String.fromCharCode(...bytes.subarray(0, MAGIC_BYTES));

const SIGNATURES: readonly { seems: string; matches: (head: Uint8Array, text: string) => boolean }[] = [
  {
    seems: "a Git-LFS pointer: the download is missing",
    matches: (_, text) => text.startsWith("version https://git-lfs"),
  },
  {
    seems: "an HTML page: the download went wrong",
    matches: (_, text) => /^\s*<(!doctype|html|head|\?xml)/i.test(text),
  },
  { seems: "a PyTorch checkpoint (zip) or another zip archive", matches: (_, text) => text.startsWith("PK\x03\x04") },
  { seems: "a safetensors file", matches: isSafetensors },
  { seems: "an HDF5 file, such as a Keras model", matches: (_, text) => text.startsWith("\x89HDF\r\n") },
  {
    seems: "a PyTorch checkpoint (pickle)",
    matches: (head) => head[0] === 0x80 && (head[1] ?? 0) >= 2 && (head[1] ?? 9) <= 5,
  },
  { seems: "a NumPy array", matches: (_, text) => text.startsWith("\x93NUMPY") },
  { seems: "a gzip archive: unpack it", matches: (head) => head[0] === 0x1f && head[1] === 0x8b },
  { seems: "a zstd archive: unpack it", matches: (_, text) => text.startsWith("\x28\xb5\x2f\xfd") },
  { seems: "an old GGML file from before GGUF", matches: (_, text) => /^(lmgg|fmgg|tjgg)/.test(text) },
  { seems: "JSON text", matches: (_, text) => /^\s*[{[]\s*["{[\]}]/.test(text) },
];

/** Words for a message ("a safetensors file"), or null when the bytes say nothing. */
export function guessFormat(head: Uint8Array): string | null {
  const text = ascii(head);
  if (head.byteLength > 0 && head.every((byte) => byte === 0)) {
    return "a file of zero bytes: a download that never arrived";
  }
  return SIGNATURES.find((signature) => signature.matches(head, text))?.seems ?? null;
}

/** A little-endian header length, then a JSON object. */
function isSafetensors(head: Uint8Array, text: string): boolean {
  return head.byteLength > 9 && head[6] === 0 && head[7] === 0 && text.startsWith('{"', 8);
}
