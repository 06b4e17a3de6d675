// Ways in which a model file can be broken: cut short, lying about itself, or something else altogether.
// One table; each row makes the bytes of a bad file out of a good one. What must happen is the test's business.

import { FOREIGN_FILES } from "./foreign-files.ts";
import {
  type GgufLayout,
  METADATA_COUNT_AT,
  type MetadataEntry,
  scanGguf,
  TENSOR_COUNT_AT,
  type TensorEntry,
} from "./gguf-layout.ts";
import { setNumber } from "./gguf-writer.ts";

export interface Mutation {
  /** Also the file's name, so that a message can be traced to its row. */
  name: string;
  bytes: Uint8Array;
}

/** A mutation before it meets a file. */
type Lie = [name: string, apply: (file: EditableFile) => void];

const U64_MAX = 2n ** 64n - 1n;
const VERSION_AT = 4;
const STRING_TYPE = 8;
const ARRAY_TYPE = 9;

export function makeMutations(valid: Uint8Array): Mutation[] {
  const layout = scanGguf(valid);
  const cuts = listCuts(valid.length, layout).map(([name, length]) => ({
    name: `cut-${name}`,
    bytes: valid.slice(0, length),
  }));
  const lies = LIES.map(([name, apply]) => {
    const file = new EditableFile(valid.slice(), layout);
    apply(file);
    return { name: `lie-${name}`, bytes: file.bytes };
  });
  return [...cuts, ...lies, ...FOREIGN_FILES.map(([name, make]) => ({ name: `not-${name}`, bytes: make() }))];
}

/** Lengths at which the file is cut: inside every kind of field. */
function listCuts(fileLength: number, layout: GgufLayout): [name: string, length: number][] {
  const entry = (key: string) => findByKey(layout, key);
  const tokens = entry("tokenizer.ggml.tokens");
  const merges = entry("tokenizer.ggml.merges");
  const template = entry("tokenizer.chat_template");
  const [first, second] = layout.tensors;
  const last = layout.tensors.at(-1);
  if (first === undefined || second === undefined || last === undefined)
    throw new Error("the valid file has too few tensors");
  return [
    ["in-magic", 3],
    ["after-magic", 4],
    ["in-version", 6],
    ["in-tensor-count", 12],
    ["in-metadata-count", 20],
    ["after-header", 24],
    ["in-first-key-length", 28],
    ["in-first-key", 40],
    ["in-value-type", tokens.typeAt + 2],
    ["in-string-length", entry("general.name").valueAt + 4],
    ["in-string", entry("general.name").end - 1],
    ["in-number", entry("llama.block_count").valueAt + 2],
    ["in-array-type", tokens.valueAt + 2],
    ["in-array-length", tokens.valueAt + 8],
    ["in-array-item", tokens.valueAt + 12 + 5],
    ["in-array-middle", Math.floor((tokens.valueAt + tokens.end) / 2)],
    ["in-number-array", entry("tokenizer.ggml.token_type").end - 2],
    ["in-last-array", merges.end - 1],
    ["in-chat-template", Math.floor((template.valueAt + template.end) / 2)],
    ["after-metadata", first.start],
    ["in-tensor-name", first.start + 10],
    ["in-tensor-dimensions", first.dimensionsAt + 4],
    ["in-tensor-type", first.typeAt + 1],
    ["in-tensor-offset", first.offsetAt + 7],
    ["between-tensor-infos", second.start],
    ["in-last-tensor-info", last.end - 1],
    ["before-data", layout.dataAt],
    ["in-first-data", layout.dataAt + 1000],
    ["in-half", Math.floor((layout.dataAt + fileLength) / 2)],
    // More than the padding behind the last tensor.
    ["before-end", fileLength - 64],
  ];
}

const LIES: readonly Lie[] = [
  ["magic-of-ggml", (file) => file.bytes.set(new TextEncoder().encode("ggml"), 0)],
  ["version-0", (file) => file.put("u32", VERSION_AT, 0)],
  ["version-absurd", (file) => file.put("u32", VERSION_AT, 0x7fffffff)],
  ["version-big-endian", (file) => file.put("u32", VERSION_AT, 0x03000000)],
  ["tensor-count-max", (file) => file.put("u64", TENSOR_COUNT_AT, U64_MAX)],
  ["tensor-count-huge", (file) => file.put("u64", TENSOR_COUNT_AT, 2n ** 61n)],
  ["tensor-count-many", (file) => file.put("u64", TENSOR_COUNT_AT, 50_000_000)],
  ["tensor-count-one-more", (file) => file.put("u64", TENSOR_COUNT_AT, file.layout.tensors.length + 1)],
  ["tensor-count-0", (file) => file.put("u64", TENSOR_COUNT_AT, 0)],
  ["metadata-count-max", (file) => file.put("u64", METADATA_COUNT_AT, U64_MAX)],
  ["metadata-count-many", (file) => file.put("u64", METADATA_COUNT_AT, 50_000_000)],
  ["metadata-count-one-more", (file) => file.put("u64", METADATA_COUNT_AT, file.layout.metadata.length + 1)],
  ["metadata-count-0", (file) => file.put("u64", METADATA_COUNT_AT, 0)],
  ["key-length-max", (file) => file.put("u64", file.entry("general.name").start, U64_MAX)],
  ["key-length-wraps", (file) => file.put("u64", file.entry("general.name").start, U64_MAX - 6n)],
  ["key-length-beyond-file", (file) => file.put("u64", file.entry("general.name").start, 2n ** 40n)],
  ["string-length-max", (file) => file.put("u64", file.entry("general.description").valueAt, U64_MAX)],
  ["string-length-wraps", (file) => file.put("u64", file.entry("general.description").valueAt, U64_MAX - 7n)],
  ["string-length-beyond-file", (file) => file.put("u64", file.entry("general.description").valueAt, 2n ** 33n)],
  ["value-type-unknown", (file) => file.put("u32", file.entry("general.description").typeAt, 99)],
  ["value-type-negative", (file) => file.put("u32", file.entry("general.description").typeAt, 0xffffffff)],
  ["number-as-string", (file) => file.put("u32", file.entry("llama.block_count").typeAt, STRING_TYPE)],
  ["string-as-number", (file) => file.put("u32", file.entry("general.architecture").typeAt, 4)],
  ["array-of-unknown", (file) => file.put("u32", file.entry("tokenizer.ggml.tokens").valueAt, 77)],
  ["array-of-arrays", (file) => file.put("u32", file.entry("tokenizer.ggml.tokens").valueAt, ARRAY_TYPE)],
  ["array-length-max", (file) => file.put("u64", file.entry("tokenizer.ggml.tokens").valueAt + 4, U64_MAX)],
  ["array-length-huge", (file) => file.put("u64", file.entry("tokenizer.ggml.token_type").valueAt + 4, 2n ** 62n)],
  ["array-length-many", (file) => file.put("u64", file.entry("tokenizer.ggml.token_type").valueAt + 4, 2n ** 31n)],
  ["array-item-length-max", (file) => file.put("u64", file.entry("tokenizer.ggml.merges").valueAt + 12, U64_MAX)],
  // The two keys are equally long, and both hold a u32.
  ["alignment-0", (file) => file.rename("general.file_type", "general.alignment", 0)],
  ["alignment-3", (file) => file.rename("general.file_type", "general.alignment", 3)],
  ["alignment-absurd", (file) => file.rename("general.file_type", "general.alignment", 2 ** 31)],
  ["key-twice", (file) => file.rename("llama.rope.freq_base", "llama.context_length", 4)],
  ["architecture-unknown", (file) => file.overwrite(file.entry("general.architecture").valueAt + 8, "lllll")],
  ["layers-absurd", (file) => file.put("u32", file.entry("llama.block_count").valueAt, 0x7fffffff)],
  ["layers-one-more", (file) => file.add("llama.block_count", 1)],
  ["heads-0", (file) => file.put("u32", file.entry("llama.attention.head_count").valueAt, 0)],
  ["heads-absurd", (file) => file.put("u32", file.entry("llama.attention.head_count").valueAt, 0xffffffff)],
  ["kv-heads-uneven", (file) => file.put("u32", file.entry("llama.attention.head_count_kv").valueAt, 3)],
  ["width-0", (file) => file.put("u32", file.entry("llama.embedding_length").valueAt, 0)],
  ["width-wrong", (file) => file.put("u32", file.entry("llama.embedding_length").valueAt, 256)],
  ["width-absurd", (file) => file.put("u32", file.entry("llama.embedding_length").valueAt, 0xffffffff)],
  ["feed-forward-0", (file) => file.put("u32", file.entry("llama.feed_forward_length").valueAt, 0)],
  ["rope-absurd", (file) => file.put("u32", file.entry("llama.rope.dimension_count").valueAt, 0x7fffffff)],
  ["tensor-name-length-max", (file) => file.put("u64", file.tensor(2).start, U64_MAX)],
  ["tensor-name-length-long", (file) => file.put("u64", file.tensor(2).start, 70)],
  [
    "tensor-name-twice",
    (file) => file.overwrite(file.tensorNamed("blk.0.attn_k.weight").start + 8, "blk.1.attn_k.weight"),
  ],
  [
    "tensor-name-unknown",
    (file) => file.overwrite(file.tensorNamed("blk.0.attn_k.weight").start + 8, "blk.0.attn_x.weight"),
  ],
  ["dimension-count-max", (file) => file.put("u32", file.tensor(0).dimensionCountAt, 0xffffffff)],
  ["dimension-count-5", (file) => file.put("u32", file.tensor(0).dimensionCountAt, 5)],
  ["dimension-negative", (file) => file.put("i64", file.tensor(0).dimensionsAt, -1)],
  ["dimension-0", (file) => file.put("u64", file.tensor(0).dimensionsAt + 8, 0)],
  ["dimension-uneven", (file) => file.put("u64", file.tensor(0).dimensionsAt, 127)],
  ["dimension-wrong", (file) => file.put("u64", file.tensor(0).dimensionsAt + 8, 512)],
  ["dimensions-overflow", (file) => file.putDimensions(0, 2n ** 33n, 2n ** 33n)],
  ["dimensions-wrap-to-0", (file) => file.putDimensions(0, 2n ** 32n, 2n ** 32n)],
  ["dimensions-beyond-file", (file) => file.putDimensions(0, 2n ** 20n, 2n ** 20n)],
  ["tensor-type-unknown", (file) => file.put("u32", file.tensor(0).typeAt, 9999)],
  ["tensor-type-negative", (file) => file.put("u32", file.tensor(0).typeAt, 0xffffffff)],
  ["tensor-type-removed", (file) => file.put("u32", file.tensor(0).typeAt, 4)],
  ["tensor-type-larger", (file) => file.put("u32", file.tensor(0).typeAt, 0)],
  ["offset-max", (file) => file.put("u64", file.tensor(3).offsetAt, U64_MAX)],
  ["offset-wraps", (file) => file.put("u64", file.tensor(3).offsetAt, U64_MAX - 31n)],
  ["offset-beyond-file", (file) => file.put("u64", file.tensor(3).offsetAt, 2n ** 40n)],
  ["offset-unaligned", (file) => file.put("u64", file.tensor(3).offsetAt, file.tensor(3).offset + 1)],
  ["offset-of-another", (file) => file.put("u64", file.tensor(3).offsetAt, 0)],
];

class EditableFile {
  readonly bytes: Uint8Array;
  readonly layout: GgufLayout;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, layout: GgufLayout) {
    this.bytes = bytes;
    this.layout = layout;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  entry(key: string): MetadataEntry {
    return findByKey(this.layout, key);
  }

  tensor(index: number): TensorEntry {
    const tensor = this.layout.tensors[index];
    if (tensor === undefined) throw new Error(`the valid file has no tensor ${index}`);
    return tensor;
  }

  tensorNamed(name: string): TensorEntry {
    return this.tensor(this.layout.tensors.findIndex((tensor) => tensor.name === name));
  }

  put(type: "u32" | "u64" | "i64", at: number, value: number | bigint): void {
    setNumber(this.#view, at, type, value);
  }

  putDimensions(index: number, ...dimensions: bigint[]): void {
    dimensions.forEach((dimension, i) => {
      this.put("u64", this.tensor(index).dimensionsAt + 8 * i, dimension);
    });
  }

  add(key: string, more: number): void {
    const at = this.entry(key).valueAt;
    this.put("u32", at, this.#view.getUint32(at, true) + more);
  }

  /** The new key is as long as the old one; the value is a u32. */
  rename(key: string, newKey: string, value: number): void {
    if (key.length !== newKey.length) throw new Error(`${newKey} is not as long as ${key}`);
    const entry = this.entry(key);
    this.overwrite(entry.start + 8, newKey);
    this.put("u32", entry.valueAt, value);
  }

  overwrite(at: number, text: string): void {
    this.bytes.set(new TextEncoder().encode(text), at);
  }
}

function findByKey(layout: GgufLayout, key: string): MetadataEntry {
  const entry = layout.metadata.find((candidate) => candidate.key === key);
  if (entry === undefined) throw new Error(`the valid file has no ${key}`);
  return entry;
}
