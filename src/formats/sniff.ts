// What a file's first bytes say: a name for each signature. It only says where to look closer; whether the file is whole is
// its format's own business.

/** As many first bytes as `sniff` looks at: a tar archive shows itself at byte 257. */
export const SNIFF_BYTES = 512;

export type Sniffed =
  | "empty"
  | "zeros"
  | "gguf"
  | "ggml"
  | "safetensors"
  | "zip"
  | "pickle"
  | "tar"
  | "npy"
  | "hdf5"
  | "tflite"
  | "executorch"
  | "tensorrt"
  | "elf"
  | "windows-program"
  | "script"
  | "lfs-pointer"
  | "html"
  | "json"
  | "gzip"
  | "zstd"
  | "xz"
  | "bzip2"
  | "7z"
  | "rar"
  | "lz4"
  | "protobuf"
  | "unknown";

interface Signature {
  name: Sniffed;
  matches: (head: Uint8Array, text: string) => boolean;
}

const startsWith =
  (text: string, at = 0) =>
  (_head: Uint8Array, found: string): boolean =>
    found.startsWith(text, at);

/** The first that matches wins: the surer ones stand first. */
const SIGNATURES: readonly Signature[] = [
  { name: "gguf", matches: startsWith("GGUF") },
  // ggml, ggmf, ggjt, ggla, ggsn as little-endian words.
  { name: "ggml", matches: (_, text) => /^(lmgg|fmgg|tjgg|algg|nsgg)/.test(text) },
  { name: "zip", matches: (_, text) => text.startsWith("PK\x03\x04") || text.startsWith("PK\x05\x06") },
  { name: "hdf5", matches: startsWith("\x89HDF\r\n\x1a\n") },
  { name: "npy", matches: startsWith("\x93NUMPY") },
  { name: "tflite", matches: startsWith("TFL3", 4) },
  { name: "executorch", matches: (_, text) => /^ET\d\d/.test(text.slice(4)) },
  { name: "tensorrt", matches: isTensorRt },
  { name: "elf", matches: startsWith("\x7fELF") },
  { name: "windows-program", matches: startsWith("MZ") },
  { name: "script", matches: (_, text) => /^(#!|jartsr=')/.test(text) },
  { name: "lfs-pointer", matches: startsWith("version https://git-lfs") },
  { name: "safetensors", matches: isSafetensors },
  { name: "html", matches: (_, text) => /^(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|!--)/i.test(text) },
  { name: "pickle", matches: isPickle },
  { name: "gzip", matches: startsWith("\x1f\x8b") },
  { name: "zstd", matches: startsWith("\x28\xb5\x2f\xfd") },
  { name: "xz", matches: startsWith("\xfd7zXZ\0") },
  { name: "bzip2", matches: (_, text) => /^BZh[1-9]/.test(text) },
  { name: "7z", matches: startsWith("7z\xbc\xaf\x27\x1c") },
  { name: "rar", matches: startsWith("Rar!\x1a\x07") },
  { name: "lz4", matches: startsWith("\x04\x22\x4d\x18") },
  { name: "tar", matches: startsWith("ustar", 257) },
  { name: "json", matches: (_, text) => /^\s*(\{\s*["}]|\[\s*["{[\]\d])/.test(text) },
  // Field 1 as a number (ONNX, Core ML, SavedModel), then a field of the first few.
  { name: "protobuf", matches: (head) => head[0] === 0x08 && (head[1] ?? 0) > 0 && (head[1] ?? 255) < 64 },
];

export function sniff(head: Uint8Array, sizeBytes: number): Sniffed {
  if (sizeBytes === 0) return "empty";
  const first = head.subarray(0, SNIFF_BYTES);
  if (first.byteLength > 0 && first.every((byte) => byte === 0)) return "zeros";
  const text = String.fromCharCode(...first);
  return SIGNATURES.find((signature) => signature.matches(first, text))?.name ?? "unknown";
}

/** A little-endian header length below 2^48, then a JSON object. */
function isSafetensors(head: Uint8Array, text: string): boolean {
  return head.byteLength > 9 && head[6] === 0 && head[7] === 0 && /^\{\s*["}]/.test(text.slice(8));
}

/** PROTO 2 to 5; old protocols begin with an opcode that could be any text, so they are not looked for. */
function isPickle(head: Uint8Array): boolean {
  return head[0] === 0x80 && (head[1] ?? 0) >= 2 && (head[1] ?? 9) <= 5;
}

/** The plan itself, or one behind a length and JSON, as some exporters write it. */
function isTensorRt(head: Uint8Array, text: string): boolean {
  if (text.startsWith("ftrt")) return true;
  if (head.byteLength < 8) return false;
  const length = new DataView(head.buffer, head.byteOffset).getUint32(0, true);
  return text[4] === "{" && length < head.byteLength - 8 && text.startsWith("ftrt", 4 + length);
}
