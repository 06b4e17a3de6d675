// The corpus: GGUF in all its kinds, whole, cut and lying; and the formats of ggml before it.

import { type RawParts, rawGguf, stringEntry, stringsEntry, tensorEntry, u32Entry } from "../support/raw-gguf.ts";
import { cut, type Fixture, fill, latin } from "./corpus-fixture.ts";

type Entry = NonNullable<RawParts["metadata"]>[number];

const TOKENIZER = [
  stringEntry("tokenizer.ggml.model", "gpt2"),
  stringEntry("tokenizer.ggml.pre", "qwen2"),
  stringsEntry("tokenizer.ggml.tokens", ["a", "b", "c"]),
  stringsEntry("tokenizer.ggml.merges", ["a b"]),
];

/** What llama.cpp's loader asks of every model. */
const shapeOf = (architecture: string): Entry[] => [
  u32Entry(`${architecture}.context_length`, 4096),
  u32Entry(`${architecture}.embedding_length`, 32),
  u32Entry(`${architecture}.block_count`, 1),
];

const TENSORS = [tensorEntry("output_norm.weight", [32], 0, 0), tensorEntry("token_embd.weight", [32, 4], 8, 128)];
const DATA_BYTES = 128 + 4 * 34;

interface GgufOptions {
  architecture?: string;
  more?: Entry[];
  tokenizer?: Entry[];
  shape?: Entry[];
  parts?: RawParts;
}

export function ggufModel({
  architecture = "llama",
  more = [],
  tokenizer = TOKENIZER,
  shape,
  parts,
}: GgufOptions = {}): Uint8Array {
  return rawGguf({
    metadata: [
      stringEntry("general.architecture", architecture),
      u32Entry("general.file_type", 7),
      ...(shape ?? shapeOf(architecture)),
      ...tokenizer,
      ...more,
    ],
    tensors: TENSORS,
    dataBytes: DATA_BYTES,
    ...parts,
  });
}

const WHOLE = ggufModel({ more: [stringEntry("tokenizer.chat_template", "{{ x }}")] });
const single = (name: string, bytes: Uint8Array, expected: Fixture["expected"], file = "/m/model.gguf"): Fixture => ({
  name,
  files: { [file]: bytes },
  path: file,
  expected,
});

const wholeV3 = single("a GGUF model", WHOLE, {
  format: "gguf",
  variant: "v3",
  verdict: "runs",
  architecture: "llama",
  parameterCount: 32 + 128,
  quantization: "Q8_0",
  contextLength: 4096,
  tokenizer: "gpt2 (qwen2)",
  hasChatTemplate: true,
  command: "ml-offload run /m/model.gguf",
});

const part = (number: number): Uint8Array =>
  rawGguf({
    metadata:
      number === 1
        ? [stringEntry("general.architecture", "llama"), ...shapeOf("llama"), ...TOKENIZER, u32Entry("split.count", 3)]
        : [u32Entry("split.no", number - 1), u32Entry("split.count", 3)],
    tensors: [tensorEntry(`t${number}`, [32], 0, 0)],
    dataBytes: 128,
  });
const PARTS = Object.fromEntries([1, 2, 3].map((n) => [`/m/big-0000${n}-of-00003.gguf`, part(n)]));
const split: Fixture = {
  name: "a split GGUF",
  files: PARTS,
  path: "/m/big-00001-of-00003.gguf",
  expected: { format: "gguf", variant: "split", verdict: "runs", parameterCount: 96, architecture: "llama" },
};
const without = (name: string): Record<string, Uint8Array> =>
  Object.fromEntries(Object.entries(PARTS).filter(([path]) => path !== name));

const adapter = rawGguf({
  metadata: [
    stringEntry("general.type", "adapter"),
    stringEntry("general.architecture", "llama"),
    stringEntry("adapter.type", "lora"),
  ],
  tensors: [tensorEntry("blk.0.attn_q.weight.lora_a", [32, 4], 0, 0)],
  dataBytes: 512,
});
const mmproj = rawGguf({
  metadata: [stringEntry("general.architecture", "clip")],
  tensors: TENSORS,
  dataBytes: DATA_BYTES,
});
const imatrix = rawGguf({
  metadata: [stringEntry("general.type", "imatrix")],
  tensors: TENSORS,
  dataBytes: DATA_BYTES,
});

/** A cut at every tenth: within the magic and counts, the metadata, the tensor table and the data. */
const CUTS = [0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99].map((share) =>
  cut(wholeV3, "/m/model.gguf", share, { variant: share > 0.65 ? "v3" : null }),
);

function patch(bytes: Uint8Array, at: number, values: readonly number[]): Uint8Array {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
}

const damaged = (name: string, bytes: Uint8Array, more: Partial<Fixture["expected"]> = {}): Fixture =>
  single(name, bytes, { format: "gguf", verdict: "damaged", ...more });
const unsupported = (name: string, bytes: Uint8Array, variant: string | null): Fixture =>
  single(name, bytes, { format: "gguf", verdict: "unsupported", variant });

const ggml = (name: string, magic: string, variant: string): Fixture =>
  single(
    name,
    fill(latin(`${magic}\x03\0\0\0`), 4096),
    { format: "ggml", variant, verdict: "unsupported" },
    "/m/ggml.bin",
  );

const MEGABYTES = 4 * 1024 * 1024;
const largeTensors = [tensorEntry("token_embd.weight", [1024, 1024], 0, 0)];

export const GGUF_FIXTURES: readonly Fixture[] = [
  wholeV3,
  ...CUTS,
  single("a GGUF under another name", WHOLE, { format: "gguf", verdict: "runs" }, "/m/blob.bin"),
  single("GGUF version 2", ggufModel({ parts: { version: 2 } }), { format: "gguf", variant: "v2", verdict: "runs" }),
  unsupported("GGUF version 1", ggufModel({ parts: { version: 1 } }), "v1"),
  unsupported("a big-endian GGUF", ggufModel({ parts: { version: 0x03000000 } }), "big-endian"),
  unsupported("GGUF of a later version", ggufModel({ parts: { version: 9 } }), null),
  damaged("GGUF version 0", ggufModel({ parts: { version: 0 } })),
  split,
  { ...split, name: "a split GGUF by its second part", path: "/m/big-00002-of-00003.gguf" },
  { ...split, name: "a folder with a split GGUF", path: "/m" },
  {
    name: "a split GGUF without its last part",
    files: without("/m/big-00003-of-00003.gguf"),
    path: "/m/big-00001-of-00003.gguf",
    expected: { format: "gguf", variant: "split", verdict: "damaged", missing: "big-00003-of-00003.gguf" },
  },
  {
    name: "a split GGUF without its first part",
    files: without("/m/big-00001-of-00003.gguf"),
    path: "/m",
    expected: { format: "gguf", variant: "split", verdict: "damaged", missing: "big-00001-of-00003.gguf" },
  },
  cut(split, "/m/big-00002-of-00003.gguf", 0.9, { variant: "split", missing: "big-00002-of-00003.gguf" }),
  damaged("one part of a split GGUF under its own name", part(1), { missing: "2 parts" }),
  single("a LoRA adapter", adapter, {
    format: "gguf",
    variant: "lora-adapter",
    verdict: "runs",
    command: "ml-offload serve --model BASE.gguf --lora /m/model.gguf",
  }),
  unsupported("a projector", mmproj, "mmproj"),
  unsupported("an importance matrix", imatrix, "imatrix"),
  unsupported("a vocabulary", ggufModel({ parts: { tensors: [], dataBytes: 0 } }), "vocab-only"),
  unsupported("a control vector", ggufModel({ architecture: "controlvector" }), "control-vector"),
  unsupported("a draft head", ggufModel({ architecture: "eagle3" }), "companion"),
  unsupported("an architecture that llama.cpp does not know", ggufModel({ architecture: "flux" }), "v3"),
  damaged("a GGUF without an architecture", rawGguf({ metadata: TOKENIZER, tensors: TENSORS, dataBytes: DATA_BYTES }), {
    missing: "general.architecture",
  }),
  damaged("a GGUF without a tokenizer", ggufModel({ tokenizer: [] }), { missing: "tokenizer.ggml.model" }),
  damaged("a GGUF without tokens", ggufModel({ tokenizer: [stringEntry("tokenizer.ggml.model", "llama")] }), {
    missing: "tokenizer.ggml.tokens",
  }),
  damaged("a GGUF without merges", ggufModel({ tokenizer: TOKENIZER.slice(0, 3) }), {
    missing: "tokenizer.ggml.merges",
  }),
  damaged("a GGUF without its context", ggufModel({ shape: shapeOf("llama").slice(1) }), {
    missing: "llama.context_length",
  }),
  single(
    "a GGUF that brings no tokenizer by intent",
    ggufModel({ tokenizer: [stringEntry("tokenizer.ggml.model", "none")] }),
    { format: "gguf", verdict: "runs", tokenizer: "none" },
  ),
  damaged("2^61 tensors", ggufModel({ parts: { tensorCount: 2n ** 61n } })),
  damaged("2^61 metadata entries", ggufModel({ parts: { metadataCount: 2n ** 61n } })),
  damaged("one tensor more than there are", ggufModel({ parts: { tensorCount: 3 } })),
  damaged("a key of 2^64 bytes", patch(WHOLE, 24, [255, 255, 255, 255, 255, 255, 255, 255])),
  damaged(
    "tensors that overlap",
    ggufModel({ parts: { tensors: [tensorEntry("a", [32], 0, 0), tensorEntry("b", [32], 0, 0)] } }),
  ),
  damaged(
    "a tensor of 2^66 elements",
    ggufModel({ parts: { tensors: [tensorEntry("a", [2n ** 33n, 2n ** 33n], 0, 0)] } }),
  ),
  unsupported("a type that was removed", ggufModel({ parts: { tensors: [tensorEntry("a", [32], 4, 0)] } }), null),
  {
    name: "a GGUF that ends in zeros",
    files: { "/m/model.gguf": ggufModel({ parts: { tensors: largeTensors, dataBytes: 0 } }) },
    sizes: {
      "/m/model.gguf":
        Math.ceil(ggufModel({ parts: { tensors: largeTensors, dataBytes: 0 } }).byteLength / 32) * 32 + MEGABYTES,
    },
    path: "/m/model.gguf",
    expected: { format: "gguf", verdict: "damaged", reason: "zeros" },
  },
  {
    name: "a folder with a model and its projector",
    files: { "/m/model.gguf": WHOLE, "/m/mmproj.gguf": mmproj },
    path: "/m",
    expected: { format: "gguf", variant: "v3", verdict: "runs" },
  },
  {
    name: "a folder of several models",
    files: { "/m/a.gguf": WHOLE, "/m/b.gguf": ggufModel() },
    path: "/m",
    expected: { format: "gguf", variant: "collection", verdict: "runs", command: "ml-offload serve --models-dir /m" },
  },
  ggml("a GGML file", "lmgg", "ggml"),
  single("a model of whisper.cpp", fill(latin("lmgg\x99\xca\0\0"), 4096), {
    format: "ggml",
    variant: "whisper",
    verdict: "unsupported",
  }),
  ggml("a GGMF file", "fmgg", "ggmf"),
  ggml("a GGJT file", "tjgg", "ggjt"),
  ggml("an old adapter", "algg", "ggla-adapter"),
  ggml("a saved state", "nsgg", "ggsn-state"),
  single("a GGJT file of its magic alone", latin("tjgg\x03\0\0\0"), {
    format: "ggml",
    variant: "ggjt",
    verdict: "damaged",
  }),
];
