// Messages that a chat template raises an error about reach the model in other words, and nothing of them is lost.

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { NativeModel } from "../../src/ffi/model.ts";
import { NativePrompt } from "../../src/ffi/prompt.ts";
import { finish } from "../support/finish.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { TINY_SPEC } from "../support/model-specs.ts";

const TEMPLATES = join(import.meta.dir, "../../vendor/llama.cpp/models/templates");

const call = (id: string, name: string) => ({ id, type: "function", function: { name, arguments: `{"of":"${id}"}` } });
const SYSTEM = { role: "system", content: "Be brief." };
const USER = { role: "user", content: "What is it?" };
const CALLS = {
  role: "assistant",
  content: "I look.",
  tool_calls: [call("id_one", "first"), call("id_two", "second")],
};
const RESULTS = [
  { role: "tool", tool_call_id: "id_two", content: "two it is" },
  { role: "tool", tool_call_id: "id_one", content: "one it is" },
];
const LAST = { role: "user", content: "And now?" };
const STRAY = { role: "tool", tool_call_id: "id_none", content: "a stray result" };

async function render(template: string, messages: object[]): Promise<{ text: string; warnings: string }> {
  const { library } = await openLlama();
  const chatTemplate = readFileSync(join(TEMPLATES, `${template}.jinja`), "utf8");
  using model = finish(NativeModel.load(library, cacheModel({ ...TINY_SPEC, chatTemplate }), { gpuLayers: 0 }));
  library.readLog();
  using prompt = finish(NativePrompt.read(model, { kind: "chat", messages }));
  const warnings = library.readLog().map(({ text }) => text);
  return { text: prompt.facts().text, warnings: warnings.filter((line) => line.includes("messages")).join("\n") };
}

function expectInOrder(text: string, parts: readonly string[]): void {
  const places = parts.map((part) => text.indexOf(part));
  expect(places).not.toContain(-1);
  expect(places).toEqual(places.toSorted((a, b) => a - b));
}

describe.skipIf(!HAS_NATIVE || !existsSync(TEMPLATES))("messages that a template does not take", () => {
  test("several calls in one message, where it knows one: each is followed by its own result", async () => {
    const { text, warnings } = await render("meta-llama-Llama-3.1-8B-Instruct", [USER, CALLS, ...RESULTS, STRAY, LAST]);
    expectInOrder(text, ['"first"', "one it is", '"second"', "two it is", "a stray result", "And now?"]);
    expect(warnings).toContain("it gets them with one call each");
  });

  test("calls, results and a system's text, where it knows users and models in turns: all are told as text", async () => {
    const { text, warnings } = await render("google-gemma-2-2b-it", [SYSTEM, USER, USER, CALLS, ...RESULTS, USER]);
    const results = ["Result of second:\ntwo it is", "Result of first:\none it is"];
    expectInOrder(text, ["Be brief.", "What is it?", "I look.", '{"name": "first"', '{"name": "second"', ...results]);
    expect(text.match(/<start_of_turn>/g)).toHaveLength(4);
    expect(warnings).toContain("it gets them as text");
  });

  test("those that it takes are told as they are", async () => {
    const { text, warnings } = await render("Qwen-Qwen3-0.6B", [SYSTEM, USER, CALLS, ...RESULTS, USER]);
    expectInOrder(text, ["Be brief.", '"first"', '"second"', "two it is", "one it is"]);
    expect(warnings).toBe("");
  });
});
