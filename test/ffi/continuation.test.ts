// Answers that go on from a last message, over every chat template that llama.cpp keeps: the prompt ends with what the
// message says, in the place of an answer, and of the answer's text only what comes behind it is told.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { NativeModel } from "../../src/ffi/model.ts";
import { NativeParser } from "../../src/ffi/parser.ts";
import { NativePrompt } from "../../src/ffi/prompt.ts";
import { finish } from "../support/finish.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { TINY_SPEC } from "../support/model-specs.ts";

const FOLDER = join(import.meta.dir, "../../vendor/llama.cpp/models/templates");
const HAS_TEMPLATES = HAS_NATIVE && existsSync(FOLDER);
const TEMPLATES = HAS_TEMPLATES
  ? readdirSync(FOLDER)
      .filter((name) => name.endsWith(".jinja"))
      .map((name) => name.slice(0, -".jinja".length))
      .sort()
  : [];
const SMALL = { layers: 1, width: 32, heads: 2, kvHeads: 1, headSize: 16, feedForward: 64 };

const USER = { role: "user", content: "What is it?" };
const say = (content: string, reasoning_content = "") => ({ role: "assistant", content, reasoning_content });

async function loadWith(template: string): Promise<NativeModel> {
  const { library } = await openLlama();
  const chatTemplate = readFileSync(join(FOLDER, `${template}.jinja`), "utf8");
  return finish(NativeModel.load(library, cacheModel({ ...TINY_SPEC, ...SMALL, chatTemplate }), { gpuLayers: 0 }));
}

function read(model: NativeModel, messages: object[], asks: object, sampling: object | null = null): NativePrompt {
  return finish(NativePrompt.read(model, { kind: "chat", messages, ...asks }, sampling));
}

function renderText(model: NativeModel, messages: object[], asks: object): string {
  using prompt = read(model, messages, asks);
  return prompt.facts().text;
}

/** What is told of an answer that comes in these pieces; null where no parser is needed, and everything is. */
function parse(prompt: NativePrompt, library: NativeModel["library"], pieces: string[]) {
  if (!prompt.facts().needsParser) return null;
  using parser = NativeParser.make(library, prompt);
  const told = { text: "", reasoning: "", calls: [] as { name: string; text: string }[] };
  const parsed = [...pieces.map((piece) => parser.push(piece, false)), parser.push("", true)].flat();
  for (const { text = "", reasoning = "", toolCall } of parsed) {
    told.text += text;
    told.reasoning += reasoning;
    if (toolCall === undefined) continue;
    told.calls[toolCall.index] ??= { name: toolCall.name ?? "", text: "" };
    (told.calls[toolCall.index] as { text: string }).text += toolCall.arguments;
  }
  return told;
}

/** The same answer whole, a character at a time, and cut in its middle. */
const inPieces = (text: string): string[][] => [[text], [...text], [text.slice(0, 5), text.slice(5)]];

describe.skipIf(!HAS_TEMPLATES).each(TEMPLATES)("%s", (template) => {
  let model: NativeModel;
  beforeAll(async () => {
    model = await loadWith(template);
  });
  afterAll(() => model[Symbol.dispose]());

  test("the prompt is that of an answer, and ends with what the message says", () => {
    const opened = renderText(model, [USER], {});
    const shown = renderText(model, [USER], { opensAnswer: false });
    const text = renderText(model, [USER, say("The answer is:\n")], { continues: "content" });
    expect(text).toEndWith("The answer is:\n");
    // What opens an answer may open thoughts, which a message that goes on has behind it.
    const shared = sharedLength(opened, shown);
    expect(text.slice(0, shared)).toBe(opened.slice(0, shared));
    expect(text.split("What is it?")).toHaveLength(2);
    expect(sharedLength(text, opened)).toBeGreaterThanOrEqual(opened.indexOf("What is it?") + "What is it?".length);
  });

  test.each([
    ["The answer is:\n", "  seven, of < course"],
    ["If a <", " b, then"],
    ["It is ", "é and **so** on.\n"],
    ["\n\n  It", "s name is [x]"],
    ["See `<tool", "s>` there"],
  ])("%j goes on with %j, and nothing else is told", (begun, more) => {
    using prompt = read(model, [USER, say(begun)], { continues: "content" });
    for (const pieces of inPieces(more)) {
      const told = parse(prompt, model.library, pieces);
      if (told !== null)
        expect({ ...told, text: told.text.trimEnd() }).toEqual({ text: more.trimEnd(), reasoning: "", calls: [] });
    }
  });

  test("thoughts go on as thoughts, where the template knows them", () => {
    const begun = say("", "Let me see. ");
    const knows = THOUGHTLESS.every((name) => name !== template);
    if (!knows) {
      expect(() => read(model, [USER, begun], { continues: "reasoning" })).toThrow("has no place for thoughts");
      return;
    }
    using prompt = read(model, [USER, begun], { continues: "reasoning" });
    expect(prompt.facts().text).toEndWith("Let me see. ");
    for (const pieces of inPieces("It is seven, I think.")) {
      const told = parse(prompt, model.library, pieces);
      const part = TOLD_AS_TEXT.includes(template) ? "text" : "reasoning";
      expect(told).toMatchObject({ text: "", reasoning: "", [part]: "It is seven, I think." });
    }
  });

  test("behind thoughts the text goes on", () => {
    using prompt = read(model, [USER, say("So:", "Let me see.")], { continues: "content" });
    expect(prompt.facts().text).toEndWith("So:");
    for (const pieces of inPieces(" it is seven.")) {
      const told = parse(prompt, model.library, pieces);
      if (told !== null) expect(told).toEqual({ text: " it is seven.", reasoning: "", calls: [] });
    }
  });
});

/** Their templates write no thoughts. */
const THOUGHTLESS = [
  "Apertus-8B-Instruct",
  "CohereForAI-c4ai-command-r-plus-tool_use",
  "GigaChat3-10B-A1.8B",
  "GigaChat3.1-10B-A1.8B",
  "MiMo-VL",
  "MiniMax-M1",
  "Mistral-Small-3.2-24B-Instruct-2506",
  "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
  "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
  "Qwen-Qwen2.5-7B-Instruct",
  "Qwen3-Coder",
  "fireworks-ai-llama-3-firefunction-v2",
  "google-gemma-2-2b-it",
  "ibm-granite-granite-4.0",
  "ibm-granite-granite-4.1",
  "meetkai-functionary-medium-v3.1",
  "meetkai-functionary-medium-v3.2",
  "meta-llama-Llama-3.1-8B-Instruct",
  "meta-llama-Llama-3.2-3B-Instruct",
  "meta-llama-Llama-3.3-70B-Instruct",
  "microsoft-Phi-3.5-mini-instruct",
  "mistralai-Mistral-Nemo-Instruct-2407",
  "unsloth-Apriel-1.5",
  "upstage-Solar-Open-100B",
];

/** llama.cpp writes them for its whole family, and reads them where the template has them. */
const TOLD_AS_TEXT = ["LFM2-8B-A1B", "LFM2.5-Instruct"];

function sharedLength(a: string, b: string): number {
  let length = 0;
  while (length < Math.min(a.length, b.length) && a[length] === b[length]) length++;
  return length;
}

const ADD = {
  type: "function",
  function: { name: "add", parameters: { type: "object", properties: { a: { type: "integer" } }, required: ["a"] } },
};

describe.skipIf(!HAS_TEMPLATES).each([
  ["Qwen-Qwen3-0.6B", '<tool_call>\n{"name": "add", "arguments": {"a": 12}}\n</tool_call>'],
  ["Qwen-Qwen2.5-7B-Instruct", '<tool_call>\n{"name": "add", "arguments": {"a": 12}}\n</tool_call>'],
  ["Qwen3.5-4B", "<tool_call>\n<function=add>\n<parameter=a>\n12\n</parameter>\n</function>\n</tool_call>"],
  ["GLM-4.6", "<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>12</arg_value>\n</tool_call>"],
])("%s with tools", (template, call) => {
  let model: NativeModel;
  beforeAll(async () => {
    model = await loadWith(template);
  });
  afterAll(() => model[Symbol.dispose]());

  const told = (begun: string, text: string) => {
    using prompt = read(model, [USER, say(begun)], { continues: "content", tools: [ADD] }, {});
    return inPieces(text).map((pieces) => parse(prompt, model.library, pieces));
  };

  test("a message that begins with words ends in a call", () => {
    for (const answer of told("I will ", `add them.\n${call}`)) {
      expect(answer?.text.trimEnd()).toBe("add them.");
      expect(answer?.calls.map(({ name, text }) => [name, JSON.parse(text)])).toEqual([["add", { a: 12 }]]);
    }
  });

  test("a call that has begun already is told whole", () => {
    for (const answer of told(`I will.\n${call.slice(0, -14)}`, call.slice(-14))) {
      expect(answer?.calls.map(({ name, text }) => [name, JSON.parse(text)])).toEqual([["add", { a: 12 }]]);
    }
  });
});

describe
  .skipIf(!HAS_TEMPLATES)
  .each([
    "Qwen-Qwen3-0.6B",
    "Qwen-Qwen2.5-7B-Instruct",
    "meta-llama-Llama-3.1-8B-Instruct",
    "google-gemma-2-2b-it",
    "google-gemma-4-31B-it",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "openai-gpt-oss-120b",
    "mistralai-Mistral-Nemo-Instruct-2407",
    "ibm-granite-granite-4.0",
    "microsoft-Phi-3.5-mini-instruct",
    "meetkai-functionary-medium-v3.2",
  ])("%s with a schema", (template) => {
  let model: NativeModel;
  beforeAll(async () => {
    model = await loadWith(template);
  });
  afterAll(() => model[Symbol.dispose]());

  const schema = {
    type: "object",
    properties: { a: { type: "integer" } },
    required: ["a"],
    additionalProperties: false,
  };
  const asks = { continues: "content", jsonSchema: schema, grammarSchema: schema };

  test("what begins as the schema wants it goes on", () => {
    for (const begun of ["{", '{"a":', '{"a": 1']) {
      using prompt = read(model, [USER, say(begun)], asks, { temperature: 0 });
      using sampler = prompt.takeSampler();
      expect(sampler).not.toBeNull();
      expect(prompt.facts().text).toEndWith(begun);
    }
  });

  test("what begins in another way is refused in words", () => {
    for (const begun of ["Well, ", '{"b":', '["a"']) {
      expect(() => read(model, [USER, say(begun)], asks, { temperature: 0 })).toThrow("it begins in another way");
    }
  });
});

test.skipIf(!HAS_TEMPLATES)("the tables name no template that is not there", () => {
  expect([...THOUGHTLESS, ...TOLD_AS_TEXT].filter((name) => !TEMPLATES.includes(name))).toEqual([]);
});
