// A chat's schemas in the shim: templates show them as they came, the grammar follows the others, and no schema fails.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { NativeLibrary } from "../../src/ffi/library.ts";
import { NativeModel } from "../../src/ffi/model.ts";
import { NativePrompt } from "../../src/ffi/prompt.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { TINY_SPEC } from "../support/model-specs.ts";

const TEMPLATES = join(import.meta.dir, "../../vendor/llama.cpp/models/templates");
const QWEN = "Qwen-Qwen3-0.6B";
/** Its template walks through schemas, and its parser knows none of the answer's. */
const FUNCTIONARY = "meetkai-functionary-medium-v3.2";
const GOOD = { type: "object", properties: { a: { type: "string" } }, required: ["a"] };
const NO_GRAMMAR = { type: "object", properties: { a: { type: "nonsense" } } };
const SAMPLING = { temperature: 1 };

const tool = (name: string, parameters: object, grammarParameters?: object) => ({
  type: "function",
  function: { name, description: "D.", parameters, ...(grammarParameters === undefined ? {} : { grammarParameters }) },
});

describe.skipIf(!HAS_NATIVE || !existsSync(TEMPLATES))("a chat with schemas", () => {
  let library: NativeLibrary;
  const models = new Map<string, NativeModel>();
  beforeAll(async () => {
    ({ library } = await openLlama());
  });
  afterAll(() => {
    for (const model of models.values()) model[Symbol.dispose]();
  });

  function modelOf(chatTemplate: string): NativeModel {
    const known = models.get(chatTemplate);
    if (known !== undefined) return known;
    using job = NativeModel.load(library, cacheModel({ ...TINY_SPEC, chatTemplate }), { gpuLayers: 0 });
    while (job.poll().kind === "running") Bun.sleepSync(1);
    const model = job.take();
    models.set(chatTemplate, model);
    return model;
  }

  /** The rendered prompt, and the warnings on the way to it. */
  function read(template: string, request: object): { text: string; warnings: string[] } {
    library.readLog();
    const file = join(TEMPLATES, `${template}.jinja`);
    const model = modelOf(existsSync(file) ? readFileSync(file, "utf8") : template);
    const chat = { kind: "chat", messages: [{ role: "user", content: "Go." }], ...request };
    using job = NativePrompt.read(model, chat, SAMPLING);
    for (;;) {
      const state = job.poll();
      if (state.kind === "failed") throw state.error;
      if (state.kind === "done") break;
      Bun.sleepSync(1);
    }
    using prompt = job.take();
    const { text } = prompt.facts();
    const warnings = library.readLog().flatMap(({ level, text: line }) => (level === "warn" ? [line] : []));
    return { text, warnings: warnings.filter((line) => line.includes("schema of")) };
  }

  test("is shown the schema as it came", () => {
    const shown = { ...GOOD, description: "as it came" };
    for (const toolChoice of ["auto", "required", "none"]) {
      const { text, warnings } = read(QWEN, { tools: [tool("f", shown, GOOD)], toolChoice });
      expect(text).toContain("as it came");
      expect(text.toLowerCase()).not.toContain("grammar");
      expect(warnings).toEqual([]);
    }
  });

  test("goes without a grammar for the tool whose schema makes none", () => {
    const { text, warnings } = read(QWEN, { tools: [tool("good", GOOD), tool("bad", NO_GRAMMAR)] });
    expect(text).toContain("nonsense");
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("no grammar for the schema of the tool bad:");
  });

  test("goes without one for an answer whose schema makes none", () => {
    const { warnings } = read(QWEN, { jsonSchema: NO_GRAMMAR });
    expect(warnings.join()).toContain("no grammar for the schema of the answer:");
  });

  test("is shown the lowered schema of the tool that its template can't show", () => {
    const awkward = { type: "object", properties: { p: { type: "array", items: false, description: "gone" } } };
    const tools = [tool("good", { ...GOOD, description: "kept" }, GOOD), tool("awkward", awkward, GOOD)];
    const { text, warnings } = read(FUNCTIONARY, { tools });
    expect(text).not.toContain("gone");
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("the chat template can't show the schema of the tool awkward:");
  });

  test("has a grammar for the answer where the template's parser has none", () => {
    expect(read(FUNCTIONARY, { jsonSchema: GOOD }).warnings).toEqual([]);
    expect(read(FUNCTIONARY, { jsonSchema: NO_GRAMMAR }).warnings.join()).toContain("the schema of the answer");
  });

  test("fails with the template's own words where it is no schema's fault", () => {
    const template = "{{ raise_exception('roles must alternate') }}";
    expect(() => read(template, { tools: [tool("f", GOOD)] })).toThrow("roles must alternate");
    expect(library.readLog().filter(({ text }) => text.includes("schema of"))).toEqual([]);
  });
});
