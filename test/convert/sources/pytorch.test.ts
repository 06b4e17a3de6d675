// PyTorch's checkpoints give the file that SafeTensors of the same numbers give; and what is no honest checkpoint gives an
// error and does nothing else.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertFolder, readWritten, type WrittenFile } from "../../support/convert-folder.ts";
import { tinyTokenizer } from "../../support/hf-tokenizers.ts";
import { call, globalName, pickle, raw, stateDict, text, zipCheckpoint } from "../../support/pickle-writer.ts";
import { TINY, type TinyDecoder, writeTinyFolder } from "../../support/tiny-decoders.ts";
import {
  legacyOf,
  plainTensors,
  type StoredTensor,
  viewTensors,
  wrappedZipOf,
  writeFolderOnly,
  writeTorchParts,
  zipOf,
} from "../../support/torch-folders.ts";
import { writeZip } from "../../support/zip-writer.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-convert-pytorch-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Rows of 4.6 kB: views of them are read row by row, those of its other tensors at once. */
const WIDE: TinyDecoder = { ...TINY, inner: 1152 };

let count = 0;
function folderWith(files: Readonly<Record<string, Uint8Array>>, model: TinyDecoder = TINY): string {
  const folder = join(root, `folder-${count++}`);
  writeFolderOnly(folder, model);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  return folder;
}

async function fromSafetensors(model: TinyDecoder): Promise<WrittenFile> {
  const folder = join(root, `safetensors-${count++}`);
  writeTinyFolder(folder, model, tinyTokenizer());
  return readWritten((await convertFolder(folder)).path);
}

async function expectSame(folder: string, expected: WrittenFile): Promise<void> {
  const found = readWritten((await convertFolder(folder)).path);
  expect(found.tensorNames.toSorted()).toEqual(expected.tensorNames.toSorted());
  for (const name of expected.tensorNames) {
    const { dims, typeId, data } = found.tensor(name);
    const wanted = expected.tensor(name);
    expect({ name, dims, typeId, same: Buffer.compare(data, wanted.data) === 0 }).toEqual({
      name,
      dims: wanted.dims,
      typeId: wanted.typeId,
      same: true,
    });
  }
}

describe("the same file as of SafeTensors", () => {
  test.each(["F32", "F16", "BF16"] as const)(
    "%s: as an archive, as legacy, wrapped and by its other names",
    async (dtype) => {
      const model = { ...TINY, dtype };
      const expected = await fromSafetensors(model);
      const tensors = plainTensors(model);
      for (const files of [
        { "pytorch_model.bin": zipOf(tensors) },
        { "pytorch_model.bin": legacyOf(tensors) },
        { "pytorch_model.bin": wrappedZipOf(tensors), "training_args.bin": new Uint8Array(100) },
        { "model.pt": zipOf(tensors) },
        { "pytorch_model.pt": zipOf(tensors) },
      ]) {
        await expectSame(folderWith(files as Record<string, Uint8Array>, model), expected);
      }
    },
  );

  test("in parts", async () => {
    const folder = folderWith({});
    writeTorchParts(folder, plainTensors(TINY), 3);
    await expectSame(folder, await fromSafetensors(TINY));
  });

  test.each(["F32", "BF16"] as const)("%s: views of every kind", async (dtype) => {
    const model = { ...WIDE, dtype };
    const tensors = viewTensors(model);
    const strides = tensors.map((tensor) => tensor.strides).filter((stride) => stride !== undefined);
    expect(strides.length).toBeGreaterThan(10);
    await expectSame(folderWith({ "pytorch_model.bin": zipOf(tensors) }, model), await fromSafetensors(model));
    await expectSame(folderWith({ "pytorch_model.bin": legacyOf(tensors) }, model), await fromSafetensors(model));
  });

  test("tied tensors: two names, one storage, both are written", async () => {
    const tensors = plainTensors({ ...TINY, isTied: true });
    const embedding = tensors.find(({ name }) => name === "model.embed_tokens.weight") as StoredTensor;
    const folder = folderWith({ "pytorch_model.bin": zipOf([...tensors, { ...embedding, name: "lm_head.weight" }]) });
    const file = readWritten((await convertFolder(folder)).path);
    expect(file.tensor("output.weight").data).toEqual(file.tensor("token_embd.weight").data);
  });

  test("SafeTensors are preferred where both are there", async () => {
    const folder = folderWith({ "pytorch_model.bin": new Uint8Array(10) });
    writeTinyFolder(folder, TINY, tinyTokenizer());
    await expectSame(folder, await fromSafetensors(TINY));
  });
});

describe("checkpoints that are refused", () => {
  const tensors = plainTensors(TINY);
  const storages = Object.fromEntries(tensors.map(({ key, data }) => [key, data]));
  const marker = join(root, "marker");
  const system = globalName("posix", "system");
  const getattr = globalName("builtins", "getattr");
  const touch = text(`touch ${marker}`);
  const chain = call(call(getattr, call(globalName("builtins", "__import__"), text("os")), text("system")), touch);
  const lying = (change: Partial<StoredTensor>): Uint8Array =>
    zipCheckpoint(
      stateDict(tensors.map((tensor, index) => (index === 0 ? { ...tensor, ...change } : tensor))),
      storages,
    );
  const bomb = Buffer.alloc(200 * 1024 * 1024);

  const cases: [string, () => Uint8Array, string, string][] = [
    [
      "os.system among the tensors",
      () => zipCheckpoint(stateDict(tensors, [["x", call(system, touch)]]), storages),
      "format_unsupported",
      "posix.system",
    ],
    [
      "os.system alone",
      () => zipCheckpoint(pickle(call(system, touch)), storages),
      "format_unsupported",
      "posix.system",
    ],
    [
      "a chain of getattr",
      () => zipCheckpoint(stateDict(tensors, [["x", chain]]), storages),
      "format_unsupported",
      "builtins.getattr",
    ],
    [
      "a huge memo",
      () => zipCheckpoint(pickle(raw("Nr", 255, 255, 255, 255, "j", 254, 255, 255, 255)), {}),
      "model_damaged",
      "recalls the value",
    ],
    ["a text of 4 GB", () => zipCheckpoint(pickle(raw("X", 255, 255, 255, 255)), {}), "model_damaged", "claims a text"],
    [
      "a bomb in the place of the pickle",
      () => writeZip([{ name: "a/data.pkl", data: bomb, deflate: true }]),
      "model_damaged",
      "at most",
    ],
    [
      "a bomb that says it is small",
      () => writeZip([{ name: "a/data.pkl", data: bomb, deflate: true, claimedBytes: 100 }]),
      "model_damaged",
      "does not unpack",
    ],
    [
      "a compressed storage",
      () =>
        writeZip([
          { name: "a/data.pkl", data: stateDict(tensors) },
          ...Object.entries(storages).map(([key, data]) => ({ name: `a/data/${key}`, data, deflate: true })),
        ]),
      "format_unsupported",
      "compressed",
    ],
    [
      "names that lead outside",
      () => zipCheckpoint(stateDict(tensors), storages, [{ name: "../../outside", data: new Uint8Array(1) }]),
      "model_damaged",
      "leads out of it",
    ],
    ["a storage that leads outside", () => lying({ key: "../../../etc/passwd" }), "model_damaged", "has no data/"],
    ["an offset beyond its storage", () => lying({ offset: 1 }), "model_damaged", "its storage has"],
    ["strides beyond its storage", () => lying({ strides: [65, 1] }), "model_damaged", "its storage has"],
    ["another shape", () => lying({ shape: [150, 128] }), "model_damaged", "config.json says"],
    [
      "another type",
      () => lying({ storageClass: "LongStorage", shape: [75, 64] }),
      "model_damaged",
      "config.json says",
    ],
    ["no pickle of PyTorch's", () => pickle(text("x")), "format_unsupported", "no checkpoint that PyTorch wrote"],
    [
      "no pickle at all",
      () => new TextEncoder().encode("<html></html>"),
      "format_unsupported",
      "no checkpoint that PyTorch wrote",
    ],
    ["half a file", () => zipOf(tensors).slice(0, 50_000), "model_damaged", "pytorch_model.bin"],
    ["half a file of the old layout", () => legacyOf(tensors).slice(0, 50_000), "model_damaged", "bytes are missing"],
  ];

  beforeAll(() => rmSync(marker, { force: true }));

  test.each(cases)("%s", async (_, make, code, message) => {
    const folder = folderWith({ "pytorch_model.bin": make() });
    const before = readdirSync(root).length;
    const failed = await convertFolder(folder).then(null, (thrown: unknown) => thrown);
    expect(failed).toMatchObject({ code });
    expect((failed as Error).message).toContain(message);
    expect((failed as { hint: string }).hint.length).toBeGreaterThan(10);
    expect(readdirSync(root)).toHaveLength(before);
    expect(existsSync(marker)).toBe(false);
  });

  test("a part that is missing, and an index that leads outside", async () => {
    const folder = folderWith({});
    writeTorchParts(folder, tensors, 2);
    const index = readFileSync(join(folder, "pytorch_model.bin.index.json"), "utf8");
    writeFileSync(join(folder, "pytorch_model.bin.index.json"), index.replaceAll("pytorch_model-00002", "../x"));
    expect(convertFolder(folder)).rejects.toThrow("is not in a file of this folder");
    writeFileSync(join(folder, "pytorch_model.bin.index.json"), index);
    rmSync(join(folder, "pytorch_model-00002-of-00002.bin"));
    await expect(convertFolder(folder)).rejects.toThrow("the part pytorch_model-00002-of-00002.bin is missing");
  });
});
