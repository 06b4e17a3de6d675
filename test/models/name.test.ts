// Names of models: files, parts, URLs, and the hint of an unknown one.

import { describe, expect, test } from "bun:test";
import { decodeModelId, idFromFileName, modelNotFound, parseSplit, splitFileName } from "../../src/models/name.ts";
import { AppError } from "../../src/protocol/errors.ts";

test.each([
  ["Qwen3-0.6B-Q8_0.gguf", "Qwen3-0.6B-Q8_0"],
  ["big-00001-of-00003.gguf", "big"],
  ["big-00003-of-00003.GGUF", "big"],
  ["v1.5.gguf", "v1.5"],
  ["odd-00004-of-00003.gguf", "odd-00004-of-00003"],
  ["odd-1-of-3.gguf", "odd-1-of-3"],
  ["no-extension", "no-extension"],
])("the id of %s is %s", (file, id) => {
  expect(idFromFileName(file)).toBe(id);
});

test("parts of a split file", () => {
  expect(parseSplit("a-00002-of-00010.gguf")).toEqual({ stem: "a", index: 2, count: 10 });
  expect(parseSplit("a-00000-of-00010.gguf")).toBeNull();
  expect(parseSplit("a.gguf")).toBeNull();
  expect(splitFileName("a", 2, 10)).toBe("a-00002-of-00010.gguf");
});

describe("ids out of URLs", () => {
  test("are decoded, slashes too", () => {
    expect(decodeModelId("owner%2Frepo%3AQ4_K_M")).toBe("owner/repo:Q4_K_M");
    expect(decodeModelId("owner/repo")).toBe("owner/repo");
  });

  test.each(["%", "%zz", "", "x".repeat(2000)])("%j is refused", (raw) => {
    expect(() => decodeModelId(raw)).toThrow(AppError);
  });
});

test("an unknown name is answered with near ones, shortened", () => {
  const error = modelNotFound("qwen3-06b", ["Qwen3-0.6B", "gemma"]);
  expect(error.code).toBe("model_not_found");
  expect(error.hint).toStartWith("Did you mean Qwen3-0.6B? ");
  expect(modelNotFound("zzz", ["gemma"]).hint).not.toContain("mean");
  expect(modelNotFound("x".repeat(5000), []).message.length).toBeLessThan(300);
});
