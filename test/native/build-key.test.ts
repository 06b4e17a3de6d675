import { expect, test } from "bun:test";
import { buildKey, type NativeOptions } from "../../native/build.ts";

const OPTIONS: NativeOptions = { gpu: "none", cpu: "host", peer: false };

test("a key stands for what shapes the libraries", () => {
  const key = buildKey(OPTIONS, ["x64"], "c++ 12");
  expect(buildKey({ ...OPTIONS }, ["x64"], "c++ 12")).toBe(key);
  for (const other of [
    buildKey({ ...OPTIONS, gpu: "cuda" }, ["x64"], "c++ 12"),
    buildKey({ ...OPTIONS, peer: true }, ["x64"], "c++ 12"),
    buildKey(OPTIONS, ["x64", "zen4"], "c++ 12"),
    buildKey(OPTIONS, ["x64"], "c++ 13"),
  ]) {
    expect(other).not.toBe(key);
  }
});

test("the arguments of a start are not part of it", () => {
  const started = { ...OPTIONS, rest: ["--port", "9001"] };
  expect(buildKey(started, ["x64"], "c++ 12")).toBe(buildKey(OPTIONS, ["x64"], "c++ 12"));
});
