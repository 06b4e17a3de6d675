// The corpus: models for other runtimes, what compresses or packs them, and what stands in a model's place by mistake.

import { bytesField, message, numberField } from "../support/protobuf-writer.ts";
import { writeSafetensors } from "../support/safetensors-writer.ts";
import { writeZip } from "../support/zip-writer.ts";
import { cut, type Expected, encode, type Fixture, fill, json, latin } from "./corpus-fixture.ts";
import { ggufModel } from "./corpus-gguf.ts";
import { tensor } from "./corpus-hugging-face.ts";

const file = (name: string, path: string, bytes: Uint8Array, expected: Expected): Fixture => ({
  name,
  files: { [path]: bytes },
  path,
  expected,
});
const folder = (name: string, files: Record<string, Uint8Array>, expected: Expected, path = "/m"): Fixture => ({
  name,
  files,
  path,
  expected,
});

const onnxTensor = (name: string, location: string | null): Uint8Array =>
  message(
    numberField(1, 16),
    numberField(1, 4),
    numberField(2, 1),
    bytesField(8, name),
    ...(location === null
      ? [bytesField(9, new Uint8Array(256))]
      : [bytesField(13, message(bytesField(1, "location"), bytesField(2, location))), numberField(14, 1)]),
  );
const onnx = (location: string | null): Uint8Array =>
  message(
    numberField(1, 8),
    bytesField(2, "pytorch"),
    bytesField(7, message(bytesField(1, bytesField(4, "MatMul")), bytesField(5, onnxTensor("w", location)))),
    bytesField(8, numberField(2, 17)),
  );
const ONNX = file("an ONNX model", "/m/model.onnx", onnx(null), {
  format: "onnx",
  variant: "single",
  verdict: "unsupported",
  parameterCount: 64,
});

const mlmodel = (kind: number): Uint8Array =>
  message(numberField(1, 7), bytesField(2, bytesField(1, "input")), bytesField(kind, new Uint8Array(64)));
const manifest = json({
  fileFormatVersion: "1.0.0",
  itemInfoEntries: { a: { path: "com.apple.CoreML/model.mlmodel" }, b: { path: "com.apple.CoreML/weights" } },
});
const PACKAGE = {
  "/m/Manifest.json": manifest,
  "/m/Data/com.apple.CoreML/model.mlmodel": mlmodel(502),
  "/m/Data/com.apple.CoreML/weights/weight.bin": new Uint8Array(64),
};
const SAVED = {
  "/m/saved_model.pb": message(numberField(1, 1), bytesField(2, new Uint8Array(64))),
  "/m/variables/variables.index": fill(new Uint8Array(), 64),
  "/m/variables/variables.data-00000-of-00001": fill(new Uint8Array(), 64),
};
const hdf5 = (end: number, marks: string): Uint8Array => {
  const bytes = fill(latin("\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0"), 4096);
  new DataView(bytes.buffer).setBigUint64(40, BigInt(end), true);
  bytes.set(encode(marks), 1024);
  return bytes;
};
const flatbuffer = (mark: string): Uint8Array => fill(latin(`\x1c\0\0\0${mark}`), 512);
const program = latin("MZqFpD='\n\0");
const packed = (start: Uint8Array, inner: Uint8Array, deflate = false): Uint8Array =>
  new Uint8Array(
    Buffer.concat([
      start,
      writeZip([
        { name: "model.gguf", data: inner, deflate },
        { name: ".args", data: encode("-m\nmodel.gguf") },
      ]),
    ]),
  );

const digest = "b".repeat(64);
const ollamaManifest = json({
  layers: [{ mediaType: "application/vnd.ollama.image.model", digest: `sha256:${digest}` }],
});
const OLLAMA = {
  "/o/manifests/registry.ollama.ai/library/llama3.2/1b": ollamaManifest,
  [`/o/blobs/sha256-${digest}`]: ggufModel(),
};
const compressed = (name: string, path: string, start: string, variant: string): Fixture =>
  file(name, path, fill(latin(start), 2048), { format: "archive", variant, verdict: "unsupported" });

function tar(names: readonly string[]): Uint8Array {
  const blocks = names.flatMap((name) => {
    const head = Buffer.alloc(512);
    head.write(name, 0);
    head.write("00000000010\0", 124);
    head.write("ustar", 257);
    return [head, Buffer.alloc(512)];
  });
  return new Uint8Array(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}

const card = (front: string): Uint8Array =>
  encode(`---\nlicense: mit\n${front}\n---\n# A model\nbase_model: no/this\n`);
const unsupported = (format: Expected["format"], command: string | null): Expected => ({
  format,
  verdict: "unsupported",
  command,
});
/** Where the weights are that they were made from. */
const ORIGINS: readonly Fixture[] = [
  folder(
    "ONNX whose card names the original",
    { "/r/README.md": card("base_model: owner/original-1B"), "/r/onnx/model.onnx": onnx(null) },
    {
      ...unsupported("onnx", "ml-offload pull owner/original-1B --convert"),
      reason: "Its card names owner/original-1B as what it was made from.",
    },
    "/r/onnx/model.onnx",
  ),
  folder(
    "TFLite whose card names originals in a list",
    {
      "/r/README.md": card('tags: [x]\nbase_model:\n  - "owner/first"\n  - owner/second'),
      "/r/a.tflite": flatbuffer("TFL3"),
    },
    unsupported("tflite", "ml-offload pull owner/first --convert"),
    "/r",
  ),
  folder(
    "ONNX whose card leads elsewhere",
    { "/tiny-model-onnx/README.md": card("base_model: ../../etc/passwd"), "/tiny-model-onnx/model.onnx": onnx(null) },
    unsupported("onnx", "ml-offload search tiny model"),
    "/tiny-model-onnx/model.onnx",
  ),
  folder(
    "TFLite beside a card of another folder",
    { "/README.md": card("base_model: owner/other"), "/m/gemma-3-1b-it-int8.tflite": flatbuffer("TFL3") },
    unsupported("tflite", "ml-offload search gemma 3 1b it"),
    "/m/gemma-3-1b-it-int8.tflite",
  ),
  folder(
    "ExecuTorch in a cache of the Hub",
    { "/hub/models--owner--Llama-Small-8bit/x/a.pte": flatbuffer("ET12") },
    unsupported("executorch", "ml-offload search Llama Small"),
    "/hub/models--owner--Llama-Small-8bit/x/a.pte",
  ),
  folder(
    "a TensorRT engine without a name",
    { "/m/model.engine": fill(latin("ftrt\0\0\0\0"), 512) },
    unsupported("tensorrt", null),
    "/m/model.engine",
  ),
];

const RUNTIMES: readonly Fixture[] = [
  ONNX,
  { ...ONNX, name: "a folder with an ONNX model", path: "/m" },
  cut(ONNX, "/m/model.onnx", 0.5, { variant: null }),
  folder(
    "ONNX with data beside it",
    { "/m/model.onnx": onnx("model.onnx_data"), "/m/model.onnx_data": new Uint8Array(256) },
    { format: "onnx", variant: "external-data", verdict: "unsupported", parameterCount: 64 },
    "/m/model.onnx",
  ),
  file("ONNX without its data", "/m/model.onnx", onnx("model.onnx_data"), {
    format: "onnx",
    verdict: "damaged",
    missing: "model.onnx_data",
  }),
  file("ONNX whose data lies outside", "/m/model.onnx", onnx("../../etc/passwd"), {
    format: "onnx",
    verdict: "damaged",
    reason: "outside",
  }),
  ...ORIGINS,
  file("a Core ML network", "/m/a.mlmodel", mlmodel(500), {
    format: "coreml",
    variant: "mlmodel",
    verdict: "unsupported",
  }),
  file("a Core ML program", "/m/a.mlmodel", mlmodel(502), {
    format: "coreml",
    variant: "mlprogram",
    verdict: "unsupported",
  }),
  cut(
    file("a Core ML network", "/m/a.mlmodel", mlmodel(500), {
      format: "coreml",
      variant: "mlmodel",
      verdict: "unsupported",
    }),
    "/m/a.mlmodel",
    0.6,
  ),
  folder("a Core ML package", PACKAGE, { format: "coreml", variant: "mlpackage", verdict: "unsupported" }),
  folder(
    "a Core ML package without weights",
    { "/m/Manifest.json": manifest, "/m/Data/com.apple.CoreML/model.mlmodel": mlmodel(502) },
    { format: "coreml", variant: "mlpackage", verdict: "damaged", missing: "weights" },
  ),
  folder(
    "a compiled Core ML model",
    { "/m/coremldata.bin": new Uint8Array(64), "/m/model.mil": encode("program(1.0)"), "/m/metadata.json": json([]) },
    { format: "coreml", variant: "mlmodelc", verdict: "unsupported" },
  ),
  folder(
    "a compiled Core ML model without its program",
    { "/m/coremldata.bin": new Uint8Array(64) },
    { format: "coreml", variant: "mlmodelc", verdict: "damaged" },
  ),
  folder("a SavedModel", SAVED, { format: "tensorflow", variant: "saved-model", verdict: "unsupported" }),
  folder(
    "a SavedModel without its index",
    { ...SAVED, "/m/variables/variables.index": new Uint8Array(), "/m/x": new Uint8Array() },
    { format: "tensorflow", variant: "saved-model", verdict: "unsupported" },
  ),
  folder("a SavedModel without data", Object.fromEntries(Object.entries(SAVED).slice(0, 2)), {
    format: "tensorflow",
    variant: "saved-model",
    verdict: "damaged",
    missing: "variables.data",
  }),
  cut(
    folder("a SavedModel", SAVED, { format: "tensorflow", variant: "saved-model", verdict: "unsupported" }),
    "/m/saved_model.pb",
    0.5,
  ),
  folder(
    "a TensorFlow checkpoint",
    {
      "/m/model.ckpt.index": fill(new Uint8Array(), 64),
      "/m/model.ckpt.data-00000-of-00001": fill(new Uint8Array(), 64),
    },
    { format: "tensorflow", variant: "checkpoint", verdict: "unsupported" },
  ),
  folder(
    "a TensorFlow checkpoint without its index",
    { "/m/model.ckpt.data-00000-of-00002": fill(new Uint8Array(), 64) },
    { format: "tensorflow", variant: "checkpoint", verdict: "damaged", missing: "model.ckpt.index" },
  ),
  file("HDF5", "/m/tf_model.h5", hdf5(4096, ""), { format: "tensorflow", variant: "hdf5", verdict: "unsupported" }),
  file("Keras as HDF5", "/m/model.h5", hdf5(4096, "keras_version"), {
    format: "keras",
    variant: "hdf5",
    verdict: "unsupported",
  }),
  file("HDF5 that is cut", "/m/tf_model.h5", hdf5(1_000_000, ""), {
    format: "tensorflow",
    variant: "hdf5",
    verdict: "damaged",
    missing: "995904 bytes",
  }),
  file(
    "a Keras archive",
    "/m/a.keras",
    writeZip([
      { name: "metadata.json", data: json({}) },
      { name: "config.json", data: json({}) },
      { name: "model.weights.h5", data: hdf5(4096, "") },
    ]),
    { format: "keras", variant: "keras-archive", verdict: "unsupported" },
  ),
  file(
    "a Keras archive without weights",
    "/m/a.keras",
    writeZip([
      { name: "metadata.json", data: json({}) },
      { name: "config.json", data: json({}) },
    ]),
    { format: "keras", verdict: "damaged", missing: "weights" },
  ),
  file("TFLite", "/m/a.tflite", flatbuffer("TFL3"), { format: "tflite", verdict: "unsupported" }),
  file("TFLite that is cut", "/m/a.tflite", flatbuffer("TFL3").slice(0, 20), { format: "tflite", verdict: "damaged" }),
  file("ExecuTorch", "/m/a.pte", flatbuffer("ET12"), { format: "executorch", verdict: "unsupported" }),
  file("ExecuTorch that is cut", "/m/a.pte", flatbuffer("ET12").slice(0, 16), {
    format: "executorch",
    verdict: "damaged",
  }),
  file("a TensorRT engine", "/m/a.engine", fill(latin("ftrt\0\0\0\0"), 512), {
    format: "tensorrt",
    variant: "engine",
    verdict: "unsupported",
  }),
  file("a TensorRT engine behind JSON", "/m/a.engine", fill(latin('\x0a\0\0\0{"a": "b"}ftrt'), 512), {
    format: "tensorrt",
    variant: "engine",
    verdict: "unsupported",
  }),
  folder(
    "a folder of TensorRT-LLM",
    {
      "/m/config.json": json({ pretrained_config: { architecture: "LlamaForCausalLM", mapping: { world_size: 1 } } }),
      "/m/rank0.engine": fill(latin("ftrt"), 512),
    },
    { format: "tensorrt", variant: "tensorrt-llm", verdict: "unsupported", architecture: "LlamaForCausalLM" },
  ),
  folder(
    "a folder of TensorRT-LLM without an engine",
    {
      "/m/config.json": json({ pretrained_config: { mapping: { world_size: 2 } } }),
      "/m/rank0.engine": fill(latin("ftrt"), 512),
    },
    { format: "tensorrt", verdict: "damaged", missing: "1 engines" },
  ),
];

const PACKED: readonly Fixture[] = [
  file("a llamafile", "/m/a.llamafile", packed(program, ggufModel()), {
    format: "llamafile",
    variant: "gguf-inside",
    verdict: "unsupported",
    architecture: "llama",
    command: "unzip -j /m/a.llamafile model.gguf",
  }),
  file("a llamafile that is an ELF", "/m/a", packed(latin("\x7fELF\x02\x01"), ggufModel()), {
    format: "llamafile",
    verdict: "unsupported",
  }),
  file("a llamafile with a broken model", "/m/a.llamafile", packed(program, ggufModel().slice(0, 100)), {
    format: "llamafile",
    verdict: "damaged",
  }),
  file("a program", "/m/a", fill(latin("\x7fELF\x02\x01"), 4096), {
    format: "unknown",
    variant: "program",
    verdict: "unsupported",
  }),
  file("a script", "/m/a.sh", encode("#!/bin/sh\necho hello\n"), {
    format: "unknown",
    variant: "program",
    verdict: "unsupported",
  }),
  file("a zip with a GGUF", "/m/a.zip", packed(new Uint8Array(), ggufModel(), true), {
    format: "archive",
    variant: "gguf-inside",
    verdict: "unsupported",
    command: "unzip -j /m/a.zip model.gguf",
  }),
  file("a zip of other things", "/m/a b.zip", writeZip([{ name: "a.txt", data: encode("x") }]), {
    format: "archive",
    variant: "zip",
    verdict: "unsupported",
    command: "unzip '/m/a b.zip'",
  }),
  file("a tar", "/m/a.tar", tar(["a.txt"]), {
    format: "archive",
    variant: "tar",
    verdict: "unsupported",
    command: "tar -xf /m/a.tar",
  }),
  file("a tar that is cut", "/m/a.tar", tar(["a.txt", "b.txt"]).slice(0, 600), {
    format: "archive",
    variant: "tar",
    verdict: "damaged",
  }),
  file("PyTorch as a tar", "/m/a.pth", tar(["storages", "tensors", "pickle"]), {
    format: "pytorch",
    variant: "legacy-tar",
    verdict: "unsupported",
  }),
  file("a NeMo archive", "/m/a.nemo", tar(["./model_config.yaml", "./model_weights.ckpt"]), {
    format: "archive",
    variant: "nemo",
    verdict: "unsupported",
  }),
  compressed("gzip", "/m/a.gz", "\x1f\x8b\x08\0", "gzip"),
  { ...compressed("a tar in gzip", "/m/a.tar.gz", "\x1f\x8b\x08\0", "tar.gzip"), path: "/m/a.tar.gz" },
  compressed("zstd", "/m/a.zst", "\x28\xb5\x2f\xfd", "zstd"),
  compressed("xz", "/m/a.xz", "\xfd7zXZ\0", "xz"),
  compressed("bzip2", "/m/a.bz2", "BZh9", "bzip2"),
  compressed("7z", "/m/a.7z", "7z\xbc\xaf\x27\x1c", "7z"),
  compressed("rar", "/m/a.rar", "Rar!\x1a\x07\x01\0", "rar"),
  compressed("lz4", "/m/a.lz4", "\x04\x22\x4d\x18", "lz4"),
  folder(
    "a store of Ollama",
    OLLAMA,
    {
      format: "ollama",
      variant: "store",
      verdict: "runs",
      reason: "llama3.2:1b",
      command: `ml-offload run /o/blobs/sha256-${digest}`,
    },
    "/o",
  ),
  file("a blob of Ollama", `/o/blobs/sha256-${digest}`, ggufModel(), { format: "gguf", verdict: "runs" }),
  folder(
    "a store of Ollama without the blob",
    { ...OLLAMA, [`/o/blobs/sha256-${digest}`]: undefined as never, "/o/blobs/other": encode("x") },
    { format: "ollama", verdict: "damaged", missing: "llama3.2:1b" },
    "/o",
  ),
];

const MISTAKES: readonly Fixture[] = [
  file(
    "a Git-LFS pointer",
    "/m/a.gguf",
    encode(`version https://git-lfs.github.com/spec/v1\noid sha256:${digest}\nsize 4000000000\n`),
    { format: "lfs-pointer", verdict: "damaged", missing: "4000000000 bytes", command: "git -C /m lfs pull" },
  ),
  file("a Git-LFS pointer without a size", "/m/a.gguf", encode("version https://git-lfs.github.com/spec/v1\n"), {
    format: "lfs-pointer",
    verdict: "damaged",
    missing: "a.gguf",
  }),
  file("a web page", "/m/a.gguf", encode("<!DOCTYPE html><html><title>404: Not\u001b[2J Found</title>"), {
    format: "html",
    verdict: "damaged",
    reason: "404: Not?[2J Found",
  }),
  file("a server's error as JSON", "/m/a.gguf", json({ error: "Repository not found" }), {
    format: "html",
    variant: "json-error",
    verdict: "damaged",
  }),
  file("JSON of something else", "/m/a.json", json({ a: 1 }), {
    format: "unknown",
    variant: "json",
    verdict: "unsupported",
  }),
  file("an empty file", "/m/a.gguf", new Uint8Array(), { format: "incomplete", variant: "empty", verdict: "damaged" }),
  file("a file of zeros", "/m/a.gguf", new Uint8Array(4096), {
    format: "incomplete",
    variant: "zeros",
    verdict: "damaged",
  }),
  file("bytes of nothing", "/m/a.gguf", fill(latin("nothing at all"), 4096), {
    format: "unknown",
    verdict: "unsupported",
  }),
  file("half a GGUF of a browser", "/m/a.gguf.crdownload", ggufModel().slice(0, 600), {
    format: "incomplete",
    variant: "gguf",
    verdict: "damaged",
  }),
  file("half a GGUF of the Hub's tool", "/m/a.incomplete", ggufModel().slice(0, 600), {
    format: "incomplete",
    variant: "gguf",
    verdict: "damaged",
  }),
  file("a whole GGUF with the ending of a download", "/m/a.gguf.part", ggufModel(), {
    format: "gguf",
    verdict: "runs",
  }),
  file("bytes of nothing with the ending of a download", "/m/a.part", fill(latin("nothing"), 4096), {
    format: "incomplete",
    variant: null,
    verdict: "damaged",
  }),
  folder(
    "half a GGUF beside aria2's list",
    { "/m/a.gguf": ggufModel().slice(0, 600), "/m/a.gguf.aria2": encode("x") },
    { format: "incomplete", variant: "gguf", verdict: "damaged" },
    "/m/a.gguf",
  ),
  folder(
    "a folder with half a SafeTensors download",
    {
      "/m/config.json": json({}),
      "/m/model.safetensors.part": writeSafetensors([tensor("a", "F32", [64])]).slice(0, -9),
    },
    { format: "incomplete", variant: "safetensors", verdict: "damaged" },
  ),
  folder(
    "a folder with half a download",
    { "/m/a.gguf.part": ggufModel().slice(0, 600) },
    { format: "incomplete", variant: "gguf", verdict: "damaged" },
  ),
];

/** `undefined` marks a file that the fixture goes without. */
function tidy(fixture: Fixture): Fixture {
  const files = Object.entries(fixture.files).filter(([, bytes]) => bytes !== undefined);
  return { ...fixture, files: Object.fromEntries(files) };
}

export const OTHER_FIXTURES: readonly Fixture[] = [...RUNTIMES, ...PACKED, ...MISTAKES].map(tidy);
