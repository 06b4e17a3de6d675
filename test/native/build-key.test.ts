import { expect, test } from "bun:test";
import { buildKey, type NativeOptions } from "../../native/build.ts";

const OPTIONS: NativeOptions = { gpu: "none", cpu: "host", cudaArchs: ["90"], cudaLibs: "static", peer: false };

test("a key stands for what shapes the libraries", () => {
  const key = buildKey(OPTIONS, ["x64"], "c++ 12");
  expect(buildKey({ ...OPTIONS }, ["x64"], "c++ 12")).toBe(key);
  for (const other of [
    buildKey({ ...OPTIONS, gpu: "cuda" }, ["x64"], "c++ 12"),
    buildKey({ ...OPTIONS, gpu: "cuda", cudaArchs: ["80"] }, ["x64"], "c++ 12"),
    buildKey({ ...OPTIONS, gpu: "cuda", cudaLibs: "shared" }, ["x64"], "c++ 12"),
    buildKey({ ...OPTIONS, peer: true }, ["x64"], "c++ 12"),
    buildKey(OPTIONS, ["x64", "zen4"], "c++ 12"),
    buildKey(OPTIONS, ["x64"], "c++ 13"),
  ]) {
    expect(other).not.toBe(key);
  }
});

test("architectures count where CUDA is built, and only there", () => {
  const keyFor = (gpu: NativeOptions["gpu"], cudaArchs: string[]): string =>
    buildKey({ ...OPTIONS, gpu, cudaArchs }, ["x64"], "c++ 12");
  expect(keyFor("cuda", ["80"])).not.toBe(keyFor("cuda", ["90"]));
  expect(keyFor("none", ["80"])).toBe(keyFor("none", ["90"]));
});

test("the arguments of a start are not part of it", () => {
  const started = { ...OPTIONS, rest: ["--port", "9001"] };
  expect(buildKey(started, ["x64"], "c++ 12")).toBe(buildKey(OPTIONS, ["x64"], "c++ 12"));
});
