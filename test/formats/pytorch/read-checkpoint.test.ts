// PyTorch's checkpoints: where their tensors lie, and that a pickle can do nothing but be read.

import { describe, expect, test } from "bun:test";
import { existsSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PickleError } from "../../../src/formats/pytorch/pickle-values.ts";
import { isCheckpointError, readPytorchCheckpoint } from "../../../src/formats/pytorch/read-checkpoint.ts";
import { unpickle } from "../../../src/formats/pytorch/unpickle.ts";
import { WindowedFile } from "../../../src/formats/windowed-file.ts";
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
  text,
  tuple,
  zipCheckpoint,
} from "../../support/pickle-writer.ts";
import { memoryFile } from "../../support/raw-gguf.ts";

const WEIGHTS = [
  { name: "a.weight", shape: [2, 3], storageClass: "HalfStorage", key: "0", elements: 12, offset: 6 },
  { name: "b", shape: [4, 2], strides: [1, 4], storageClass: "FloatStorage", key: "1" },
];
const STORAGES = { "0": 24, "1": 32 };

function read(bytes: Uint8Array) {
  const checkpoint = readPytorchCheckpoint(memoryFile(bytes));
  if (checkpoint === null) throw new Error("it was not taken for a checkpoint");
  return checkpoint;
}

const run = (pickled: Uint8Array) =>
  unpickle(new WindowedFile(memoryFile(pickled)), 0, () => {
    throw new PickleError("damaged", "no storages here");
  });

describe("checkpoints", () => {
  test("an archive: names, types, shapes, places, order", () => {
    const bytes = zipCheckpoint(stateDict(WEIGHTS), STORAGES);
    const { tensors, layout, refused, elementCount } = read(bytes);
    expect({ layout, refused, elementCount }).toEqual({ layout: "zip", refused: [], elementCount: 14 });
    const first = tensors.get("a.weight");
    expect(first).toMatchObject({ dtype: "F16", shape: [2, 3], contiguous: true });
    expect(tensors.get("b")).toMatchObject({ dtype: "F32", shape: [4, 2], strides: [1, 4], contiguous: false });
    // Six elements of two bytes into the entry's data, which follows its name.
    const entryAt = Buffer.from(bytes).indexOf("archive/data/0") + "archive/data/0".length;
    expect(first?.start).toBe(entryAt + 12);
  });

  test("the old layout: storages one behind the other", () => {
    const storages = [
      { key: "0", elements: 12, bytes: 24 },
      { key: "1", elements: 8, bytes: 32 },
    ];
    const bytes = legacyCheckpoint(stateDict(WEIGHTS), storages);
    const { tensors, layout } = read(bytes);
    expect(layout).toBe("legacy");
    expect(tensors.get("b")?.start).toBe(bytes.byteLength - 32);
    expect(tensors.get("a.weight")?.start).toBe(bytes.byteLength - 32 - 8 - 24 + 12);
  });

  test("other files are none", () => {
    expect(readPytorchCheckpoint(memoryFile(pickle(int(1))))).toBeNull();
    expect(readPytorchCheckpoint(memoryFile(new Uint8Array(0)))).toBeNull();
  });

  test("cut anywhere, an archive and an old file end in an error", () => {
    for (const whole of [zipCheckpoint(stateDict(WEIGHTS), STORAGES), legacyCheckpoint(stateDict(WEIGHTS), [])]) {
      for (let length = 20; length < whole.byteLength; length += 3) {
        let thrown: unknown = null;
        try {
          read(whole.slice(0, length));
        } catch (error) {
          thrown = error;
        }
        expect(isCheckpointError(thrown)).toBe(true);
      }
    }
  });
});

describe("pickles", () => {
  test("values of every kind", () => {
    const piece = pickle(
      tuple(int(-5), raw("K", 7), raw("M", 1, 2), raw(0x8a, 1, 0xff), raw("G", 0x3f, 0xf8, 0, 0, 0, 0, 0, 0)),
    );
    expect(run(piece).value).toEqual({ kind: "tuple", items: [-5, 7, 513, -1, 1.5] });
    expect(run(pickle(raw("I01\n"))).value).toBe(true);
    expect(run(pickle(raw("L12345678901234567890L\n"))).value).toBe(12_345_678_901_234_567_890n);
    expect(run(pickle(raw("S'it'\n"))).value).toBe("it");
    expect(run(pickle(list(text("a"), raw("N"), raw(0x88)))).value).toEqual({ kind: "list", items: ["a", null, true] });
    expect(run(pickle(raw("C", 3, "abc"))).value).toEqual({ kind: "bytes", bytes: 3 });
    expect(run(pickle(dict([["__proto__", int(1)]]))).value).toEqual({ kind: "dict", entries: [["__proto__", 1]] });
    expect(run(pickle(raw("]q\x05N0h\x05"))).value).toEqual({ kind: "list", items: [] });
  });

  test("every refused name is told, and the rest is read", () => {
    const evil = [
      ["x", call(globalName("posix", "system"), text("id"))],
      ["y", call(globalName("builtins", "exec"), text("1"))],
      ["z", call(globalName("posix", "system"), text("id"))],
    ] as const;
    const { tensors, refused } = read(zipCheckpoint(stateDict(WEIGHTS, evil), STORAGES));
    expect(refused).toEqual(["posix.system", "builtins.exec"]);
    expect([...tensors.keys()]).toEqual(["a.weight", "b"]);
  });

  test("nothing is executed", () => {
    const marker = join(tmpdir(), `mlo-pickle-${process.pid}`);
    rmSync(marker, { force: true });
    for (const module of ["os", "posix", "subprocess", "child_process", "node:fs"]) {
      const { refused } = run(pickle(call(globalName(module, "system"), text(`touch ${marker}`))));
      expect(refused).toEqual([`${module}.system`]);
    }
    expect(existsSync(marker)).toBe(false);
  });

  test("a chain of calls on what was refused stays nothing", () => {
    const getattr = globalName("builtins", "getattr");
    const { value, refused } = run(pickle(call(call(getattr, globalName("os", "path"), text("x")), text("y"))));
    expect(value).toEqual({ kind: "opaque" });
    expect(refused).toEqual(["builtins.getattr", "os.path"]);
  });

  test.each([
    ["a text over the limit", pickle(raw("X", 0, 0, 32, 0), new Uint8Array(2 * 1024 * 1024)), "limit"],
    ["a line over the limit", pickle(raw(`c${"x".repeat(2_000)}\nn\n`)), "limit"],
    ["a stack of a million marks and one", pickle(raw("(".repeat(1_000_001))), "limit"],
    ["a number of many digits", pickle(raw(`L${"9".repeat(500)}L\n`)), "damaged"],
    ["no end", raw(0x80, 2, "N"), "truncated"],
    ["nothing", new Uint8Array(0), "truncated"],
    ["an opcode of no protocol", raw(0x80, 2, 0xff), "unsupported"],
    ["an item of a number", pickle(int(1), int(2), raw("a")), "damaged"],
    ["a key without a value", pickle(raw("}("), text("a"), raw("u")), "damaged"],
    ["a call of an allowed name that makes nothing", pickle(call(globalName("torch", "FloatStorage"))), "damaged"],
  ])("%s", (_name, bytes, reason) => {
    let thrown: unknown = null;
    try {
      run(bytes);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(PickleError);
    expect((thrown as PickleError).reason).toBe(reason as PickleError["reason"]);
  });

  test("calls that share one long list cost little", () => {
    const long = list(...Array.from({ length: 50_000 }, () => tuple(text("k"), int(1))));
    const calls = Array.from({ length: 20_000 }, () => raw("ccollections\nOrderedDict\nh\x01\x85R0"));
    const began = performance.now();
    run(pickle(long, raw("q\x01"), ...calls));
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});
