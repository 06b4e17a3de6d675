// The corpus: PyTorch's checkpoints in both layouts, and pickles that try to be programs. Also NumPy's archives.

import {
  call,
  dict,
  globalName,
  int,
  legacyCheckpoint,
  list,
  pickle,
  raw,
  stateDict,
  storageId,
  tensorPiece,
  text,
  tuple,
  zipCheckpoint,
} from "../support/pickle-writer.ts";
import { writeZip } from "../support/zip-writer.ts";
import { cut, type Expected, encode, type Fixture, json, latin } from "./corpus-fixture.ts";
import { config, TOKENIZER_FILES } from "./corpus-hugging-face.ts";

const PATH = "/m/pytorch_model.bin";
const single = (name: string, bytes: Uint8Array, expected: Partial<Expected>): Fixture => ({
  name,
  files: { [PATH]: bytes },
  path: PATH,
  expected: { format: "pytorch", verdict: "unsupported", ...expected },
});

const WEIGHTS = [
  { name: "embed.weight", shape: [4, 8], storageClass: "BFloat16Storage", key: "0" },
  { name: "norm.weight", shape: [8], storageClass: "BFloat16Storage", key: "1" },
];
const STORAGES = { "0": 64, "1": 16 };
const whole = single("a PyTorch checkpoint", zipCheckpoint(stateDict(WEIGHTS), STORAGES), {
  variant: "zip",
  parameterCount: 40,
  quantization: "BF16",
});
const legacy = single(
  "a PyTorch checkpoint of the old layout",
  legacyCheckpoint(stateDict(WEIGHTS), [
    { key: "0", elements: 32, bytes: 64 },
    { key: "1", elements: 8, bytes: 16 },
  ]),
  { variant: "legacy", parameterCount: 40, quantization: "BF16" },
);

const broken = (
  name: string,
  pickled: Uint8Array,
  storages: Record<string, number> = STORAGES,
  more: Partial<Expected> = {},
): Fixture => single(name, zipCheckpoint(pickled, storages), { verdict: "damaged", ...more });
const refused = (name: string, pickled: Uint8Array, reason: string): Fixture =>
  single(name, zipCheckpoint(pickled, STORAGES), { verdict: "unsupported", reason });

const system = globalName("posix", "system");
const getattr = globalName("builtins", "getattr");
const chain = call(
  call(getattr, call(globalName("builtins", "__import__"), text("os")), text("system")),
  text("touch /tmp/x"),
);

const MALICIOUS: readonly Fixture[] = [
  refused("a pickle that calls os.system", pickle(call(system, text("touch /tmp/x"))), "posix.system"),
  refused("a pickle with a chain of getattr", pickle(chain), "builtins.getattr"),
  refused("a pickle that evaluates text", pickle(call(globalName("builtins", "eval"), text("1"))), "builtins.eval"),
  refused("a call among tensors", stateDict(WEIGHTS, [["x", call(system, text("id"))]]), "posix.system"),
  refused(
    "a name by the stack",
    pickle(raw(0x8c, 2, "os", 0x8c, 6, "system", 0x93), tuple(text("id")), raw("R")),
    "os.system",
  ),
  refused("an instance by the old opcode", pickle(raw("("), text("id"), raw("ios\nsystem\n")), "os.system"),
  refused("an object by the old opcode", pickle(raw("("), system, text("id"), raw("o")), "posix.system"),
  refused("a state that is built into a name", pickle(system, raw("}b")), "posix.system"),
  refused("a class of the model's author", pickle(call(globalName("my.model", "Net"))), "my.model.Net"),
  refused("a name that hides control characters", pickle(globalName("os\u001b[2J", "system")), "os?"),
  refused(
    "a name of an allowed module",
    pickle(call(globalName("torch._utils", "_import_dotted_name"), text("os"))),
    "_import_dotted_name",
  ),
  broken("an extension", pickle(raw(0x82, 1)), STORAGES, { verdict: "unsupported", reason: "0x82" }),
  broken("a memo of 2^32", pickle(raw("j", 255, 255, 255, 255)), STORAGES, { reason: "recalls" }),
  broken("a text of 4 GB", pickle(raw("X", 255, 255, 255, 255)), STORAGES, { reason: "claims a text" }),
  broken("a text of 2^64 bytes", pickle(raw(0x8d, 255, 255, 255, 255, 255, 255, 255, 255))),
  broken("a number of 2 GB", pickle(raw(0x8b, 255, 255, 255, 127)), STORAGES, { reason: "claims a number" }),
  broken("an empty stack", pickle(raw("000"))),
  broken("a batch without a beginning", pickle(raw("u"))),
  broken("a pickle without an end", stateDict(WEIGHTS).slice(0, -1)),
  broken("a call of a number", pickle(int(3), raw(")R"))),
  broken("a tensor of a text", pickle(call(globalName("torch._utils", "_rebuild_tensor_v2"), text("x")))),
  broken(
    "a storage of a name that is none",
    pickle(tuple(text("storage"), text("Float"), text("0"), text("cpu"), int(1)), raw("Q")),
  ),
];

const mismatch = (change: Partial<(typeof WEIGHTS)[0]> & { offset?: number; strides?: number[] }) =>
  stateDict([{ ...(WEIGHTS[0] as (typeof WEIGHTS)[0]), ...change }]);

const LYING: readonly Fixture[] = [
  broken("a storage that is missing", stateDict(WEIGHTS), { "0": 64 }, { reason: "data/1" }),
  broken("a storage that is too small", stateDict(WEIGHTS), { "0": 32, "1": 16 }),
  broken("an offset beyond the storage", mismatch({ offset: 1 })),
  broken("strides beyond the storage", mismatch({ strides: [1000, 1] })),
  broken("a storage that leads outside", mismatch({ key: "../../etc/passwd" }), STORAGES, { reason: "no data/" }),
  single("strides that step over elements", zipCheckpoint(mismatch({ shape: [2, 4], strides: [16, 2] }), STORAGES), {
    parameterCount: 8,
  }),
  single(
    "a bomb of shared lists",
    zipCheckpoint(
      pickle(raw("]q\0"), ...Array.from({ length: 30 }, (_, i) => raw("](h", i, "h", i, "eq", i + 1))),
      STORAGES,
    ),
    { parameterCount: null },
  ),
  single("a list that holds itself", zipCheckpoint(pickle(raw("]q\0h\0a")), STORAGES), { parameterCount: null }),
  single(
    "a checkpoint in a dictionary",
    zipCheckpoint(
      pickle(
        dict([
          ["state_dict", dict(WEIGHTS.map((weight) => [weight.name, tensorPiece(weight)] as const))],
          ["epoch", int(3)],
        ]),
      ),
      STORAGES,
    ),
    { parameterCount: 40 },
  ),
  single(
    "an entry that leads outside",
    writeZip([
      { name: "../evil", data: encode("x") },
      { name: "a/data.pkl", data: stateDict([]) },
    ]),
    { format: "archive", verdict: "damaged", reason: "leads out" },
  ),
  single(
    "an entry that occurs twice",
    writeZip([
      { name: "a/data.pkl", data: stateDict([]) },
      { name: "a/data.pkl", data: stateDict([]) },
    ]),
    { format: "archive", verdict: "damaged", reason: "twice" },
  ),
  single("a deflated pickle", writeZip([{ name: "a/data.pkl", data: stateDict([]), deflate: true }]), {
    parameterCount: null,
  }),
  single(
    "a zip bomb",
    writeZip([{ name: "a/data.pkl", data: new Uint8Array(8 * 1024 * 1024), deflate: true, claimedBytes: 100 }]),
    { verdict: "damaged", reason: "does not unpack" },
  ),
  single(
    "an archive that claims 60,000 entries",
    writeZip([{ name: "a/data.pkl", data: stateDict([]) }], { entryCount: 60_000 }),
    { format: "archive", verdict: "damaged" },
  ),
  single(
    "an archive whose table lies elsewhere",
    writeZip([{ name: "a/data.pkl", data: stateDict([]) }], { directoryAt: 4_000_000 }),
    { format: "archive", verdict: "damaged" },
  ),
  single(
    "big-endian numbers",
    writeZip([
      { name: "a/data.pkl", data: stateDict([]) },
      { name: "a/byteorder", data: latin("big") },
    ]),
    { reason: "big-endian" },
  ),
  single("a pickle that PyTorch did not write", pickle(dict([["a", int(1)]])), { reason: "PyTorch" }),
  single("an old checkpoint of protocol 4", legacyCheckpoint(stateDict([]), [], true), { variant: "legacy" }),
  single(
    "an old checkpoint of a whole module",
    legacyCheckpoint(
      pickle(tuple(text("module"), globalName("my.model", "Net"), text("net.py"), text("class Net")), raw("Q")),
      [],
    ),
    { reason: "my.model.Net" },
  ),
  single("an old checkpoint that calls os.system", legacyCheckpoint(pickle(call(system, text("id"))), []), {
    reason: "posix.system",
  }),
  single(
    "an old checkpoint with a storage that no tensor has",
    legacyCheckpoint(stateDict([]), [{ key: "9", elements: 1, bytes: 4 }]),
    { verdict: "damaged" },
  ),
];

const npy = (type: string, shape: string, data: number): Uint8Array => {
  const fields = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape}), }`;
  const header = `${fields.padEnd(117)}\n`;
  return new Uint8Array(
    Buffer.concat([
      Buffer.from("\x93NUMPY\x01\0", "latin1"),
      Buffer.from([118, 0]),
      Buffer.from(header),
      new Uint8Array(data),
    ]),
  );
};
const npz = (deflate: boolean): Uint8Array =>
  writeZip([
    { name: "layers.0.weight.npy", data: npy("<f2", "4, 8", 64), deflate },
    { name: "norm.npy", data: npy("<f2", "8,", 16), deflate },
  ]);
const array = (name: string, bytes: Uint8Array, expected: Partial<Expected>, path = "/m/weights.npz"): Fixture => ({
  name,
  files: { [path]: bytes },
  path,
  expected: { format: "npz", verdict: "unsupported", ...expected },
});

const index = {
  weight_map: { "embed.weight": "pytorch_model-00001-of-00002.bin", "norm.weight": "pytorch_model-00002-of-00002.bin" },
};

const LLAMA = [
  { name: "model.embed_tokens.weight", shape: [4, 8], storageClass: "HalfStorage", key: "0" },
  { name: "model.layers.0.self_attn.q_proj.weight", shape: [8, 8], storageClass: "HalfStorage", key: "1" },
  { name: "model.norm.weight", shape: [8], storageClass: "HalfStorage", key: "2" },
];
const LLAMA_STORAGES = { "0": 64, "1": 128, "2": 16 };
const LLAMA_FILES = { ...TOKENIZER_FILES, "/m/config.json": config({ num_hidden_layers: 1 }) };
const inFolder = (name: string, files: Record<string, Uint8Array>, expected: Partial<Expected>): Fixture => ({
  name,
  path: "/m",
  files: { ...LLAMA_FILES, ...files },
  expected: { format: "pytorch", verdict: "convertible", command: "ml-offload convert /m", ...expected },
});

/** Whole models. */
const CONVERTED: readonly Fixture[] = [
  inFolder("a PyTorch model", { [PATH]: zipCheckpoint(stateDict(LLAMA), LLAMA_STORAGES) }, { parameterCount: 104 }),
  inFolder(
    "a PyTorch model in its trainer's dictionary",
    {
      [PATH]: zipCheckpoint(
        pickle(dict([["state_dict", dict(LLAMA.map((tensor) => [tensor.name, tensorPiece(tensor)] as const))]])),
        LLAMA_STORAGES,
      ),
    },
    {},
  ),
  inFolder(
    "a PyTorch model in 32 bits",
    {
      [PATH]: zipCheckpoint(
        stateDict(LLAMA.map((tensor) => ({ ...tensor, storageClass: "FloatStorage" }))),
        Object.fromEntries(Object.entries(LLAMA_STORAGES).map(([key, bytes]) => [key, 2 * bytes])),
      ),
    },
    { verdict: "convertible-with-loss", reason: "rounds its 32-bit weights" },
  ),
  inFolder(
    "a PyTorch model that lacks a layer",
    { [PATH]: zipCheckpoint(stateDict(LLAMA.filter(({ key }) => key !== "1")), LLAMA_STORAGES) },
    { verdict: "damaged", missing: "layer 0", command: null },
  ),
  inFolder(
    "a PEFT adapter as a PyTorch checkpoint",
    {
      "/m/adapter_config.json": json({ peft_type: "LORA" }),
      "/m/adapter_model.bin": zipCheckpoint(stateDict(LLAMA), LLAMA_STORAGES),
    },
    { variant: "peft-adapter", command: "ml-offload convert /m --base BASE" },
  ),
  inFolder(
    "a PyTorch model of another name",
    { "/m/some.bin": zipCheckpoint(stateDict(LLAMA), LLAMA_STORAGES) },
    { verdict: "unsupported", reason: "give some.bin such a name", command: null },
  ),
];

export const PYTORCH_FIXTURES: readonly Fixture[] = [
  whole,
  legacy,
  { ...whole, name: "a folder with a PyTorch checkpoint", path: "/m" },
  ...[0.2, 0.5, 0.8, 0.99].map((share) => cut(whole, PATH, share, { format: "archive", variant: "zip" })),
  ...[0.1, 0.3, 0.6, 0.9, 0.99].map((share) => cut(legacy, PATH, share, { variant: null })),
  {
    name: "a sharded PyTorch checkpoint",
    files: {
      "/m/pytorch_model.bin.index.json": json(index),
      "/m/pytorch_model-00001-of-00002.bin": zipCheckpoint(stateDict([WEIGHTS[0] as (typeof WEIGHTS)[0]]), { "0": 64 }),
      "/m/pytorch_model-00002-of-00002.bin": zipCheckpoint(stateDict([WEIGHTS[1] as (typeof WEIGHTS)[0]]), { "1": 16 }),
    },
    path: "/m",
    expected: { format: "pytorch", variant: "sharded", verdict: "unsupported", parameterCount: 40 },
  },
  {
    name: "a sharded PyTorch checkpoint without a shard",
    files: {
      "/m/pytorch_model.bin.index.json": json(index),
      "/m/pytorch_model-00001-of-00002.bin": zipCheckpoint(stateDict([WEIGHTS[0] as (typeof WEIGHTS)[0]]), { "0": 64 }),
    },
    path: "/m",
    expected: { format: "pytorch", variant: "sharded", verdict: "damaged", missing: "00002-of-00002" },
  },
  single(
    "TorchScript",
    zipCheckpoint(stateDict(WEIGHTS), STORAGES, [{ name: "archive/code/__torch__.py", data: encode("class Net") }]),
    { variant: "torchscript", parameterCount: 40 },
  ),
  single(
    "an untyped storage",
    zipCheckpoint(
      pickle(
        dict([
          [
            "a",
            call(
              globalName("torch._utils", "_rebuild_tensor_v3"),
              storageOf("UntypedStorage"),
              int(0),
              tuple(int(4)),
              tuple(int(1)),
              raw(0x89),
              raw("N"),
              globalName("torch", "float8_e4m3fn"),
            ),
          ],
        ]),
      ),
      { "0": 4 },
    ),
    { parameterCount: 4, quantization: "FP8" },
  ),
  ...CONVERTED,
  single("an empty list of layers", zipCheckpoint(pickle(list()), {}), { parameterCount: null }),
  ...MALICIOUS,
  ...LYING,
  array("arrays of NumPy", npz(false), { variant: "arrays", parameterCount: 40, quantization: "F16" }),
  array("arrays of NumPy, compressed", npz(true), { variant: "arrays", parameterCount: 40 }),
  {
    ...array("weights of MLX", npz(false), { variant: "mlx" }),
    files: { "/m/weights.npz": npz(false), "/m/config.json": json({ model_type: "llama" }) },
  },
  array("an archive with an array that is none", writeZip([{ name: "a.npy", data: encode("nothing") }]), {
    verdict: "damaged",
  }),
  array("one array", npy("<f4", "2, 3", 24), { variant: "array" }, "/m/a.npy"),
  array(
    "one array that is cut",
    npy("<f4", "2, 3", 24).slice(0, 40),
    { variant: "array", verdict: "damaged" },
    "/m/a.npy",
  ),
];

function storageOf(storageClass: string): Uint8Array {
  return new Uint8Array(
    Buffer.concat([storageId({ name: "", shape: [4], key: "0", storageClass, elements: 4 }), raw("Q")]),
  );
}
