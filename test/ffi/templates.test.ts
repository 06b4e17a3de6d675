// Every chat template that llama.cpp keeps: what a model of its family writes is split into content, thoughts and tool
// calls again. The answers' texts are found by rendering them with the template itself (template-answers.ts), or, where
// it leaves them out, as answer-formats.ts knows them. What does not come back is in a table, with its reason.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { NativeModel } from "../../src/ffi/model.ts";
import { NativeError } from "../../src/ffi/native-error.ts";
import { NativeParser } from "../../src/ffi/parser.ts";
import { NativePrompt } from "../../src/ffi/prompt.ts";
import { ANSWER_FORMATS, type Answer } from "../support/answer-formats.ts";
import { finish } from "../support/finish.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { TINY_SPEC } from "../support/model-specs.ts";
import { cutAnswer, saySilently, thinkBefore, thinkInPrompt } from "../support/template-answers.ts";
import { TEMPLATE_EXCUSES } from "../support/template-excuses.ts";

const FOLDER = join(import.meta.dir, "../../vendor/llama.cpp/models/templates");
const HAS_TEMPLATES = HAS_NATIVE && existsSync(FOLDER);
const TEMPLATES = HAS_TEMPLATES
  ? readdirSync(FOLDER)
      .filter((name) => name.endsWith(".jinja"))
      .map((name) => name.slice(0, -".jinja".length))
      .sort()
  : [];
const SMALL = { layers: 1, width: 32, heads: 2, kvHeads: 1, headSize: 16, feedForward: 64 };

const string = { type: "string" };
const TOOLS = [
  { name: "add_numbers", properties: { a: { type: "integer" }, note: string }, required: ["a", "note"] },
  { name: "look_up", properties: { key: string }, required: ["key"] },
].map(({ name, ...schema }) => ({
  type: "function",
  function: { name, description: "A tool.", parameters: { type: "object", ...schema } },
}));

const REASONING = "Let me see.";
const CONTENT = "It is seven.";
const ADD = { name: "add_numbers", arguments: { a: 12, note: 'hi "there" <b> & é' } };
const LOOK = { name: "look_up", arguments: { key: "x, y" } };
const PLAIN: Answer = { content: CONTENT };
const ONE_CALL: Answer = { calls: [ADD] };
const TWO_CALLS: Answer = { calls: [ADD, LOOK] };

const USER = { role: "user", content: "What is it?" };
const NEXT = { role: "user", content: "And then?" };
const WITH_TOOLS = { tools: TOOLS };

/** As several templates want them: nine letters and digits. */
const callId = (index: number): string => `callabcd${index}`;

function toMessage({ content, reasoning, calls }: Answer): object {
  return {
    role: "assistant",
    content: content ?? "",
    ...(reasoning !== undefined && { reasoning_content: reasoning }),
    ...(calls !== undefined && {
      tool_calls: calls.map((call, i) => ({
        id: callId(i),
        type: "function",
        function: { name: call.name, arguments: JSON.stringify(call.arguments) },
      })),
    }),
  };
}

const results = ({ calls = [] }: Answer): object[] =>
  calls.map(({ name }, i) => ({ role: "tool", tool_call_id: callId(i), name, content: `RESULT ${i}` }));

describe.skipIf(!HAS_TEMPLATES).each(TEMPLATES)("%s", (template) => {
  let model: NativeModel;

  beforeAll(async () => {
    const { library } = await openLlama();
    const chatTemplate = readFileSync(join(FOLDER, `${template}.jinja`), "utf8");
    model = finish(NativeModel.load(library, cacheModel({ ...TINY_SPEC, ...SMALL, chatTemplate }), { gpuLayers: 0 }));
  });
  afterAll(() => model[Symbol.dispose]());

  function read(messages: object[], asks: object): NativePrompt {
    return finish(NativePrompt.read(model, { kind: "chat", messages, ...asks }));
  }

  function render(messages: object[], asks: object): string {
    using prompt = read(messages, asks);
    return prompt.facts().text;
  }

  /** The text of an answer to these messages, as the template or a format of answer-formats.ts has it. */
  function write(answer: Answer, asks: object, before: object[]): string | null {
    const after = answer.calls === undefined ? [NEXT] : results(answer);
    const rendered = render([...before, toMessage(answer), ...after], asks);
    const cut = cutAnswer(render(before, asks), rendered, answer);
    if (cut !== null) return cut;
    // Behind a tool's result some render the conversation anew as soon as it goes on.
    if (answer.content !== undefined && before.length > 1) return saySilently(render(before, asks), answer.content);
    return ANSWER_FORMATS.find((format) => format.template === template)?.write(answer) ?? null;
  }

  function writeThinking({ reasoning = "", ...answer }: Answer, asks: object, before: object[]): string | null {
    const written = write({ ...answer, reasoning }, asks, before);
    if (written?.includes(reasoning) === true) return written;
    const silent = write(answer, asks, before);
    if (silent === null) return null;
    const thinkingCall = write({ ...ONE_CALL, reasoning }, WITH_TOOLS, before);
    const silentCall = write(ONE_CALL, WITH_TOOLS, before);
    const copied =
      thinkingCall === null || silentCall === null ? null : thinkBefore(thinkingCall, silentCall, reasoning, silent);
    return copied ?? thinkInPrompt(render(before, asks), reasoning, silent);
  }

  function parse(written: string, messages: object[], asks: object): Answer | "not understood" {
    using prompt = read(messages, asks);
    using parser = NativeParser.make(model.library, prompt);
    const parts = { content: "", reasoning: "" };
    const calls: { name: string; text: string }[] = [];
    for (const { text = "", reasoning = "", toolCall } of parser.push(written, true)) {
      parts.content += text;
      parts.reasoning += reasoning;
      if (toolCall === undefined) continue;
      calls[toolCall.index] ??= { name: toolCall.name ?? "", text: "" };
      (calls[toolCall.index] as { text: string }).text += toolCall.arguments;
    }
    if (parser.mismatches() > 0) return "not understood";
    const answer: Answer = {};
    if (parts.reasoning.trim() !== "") answer.reasoning = parts.reasoning.trim();
    if (parts.content.trim() !== "") answer.content = parts.content.trim();
    if (calls.length > 0) answer.calls = calls.map(({ name, text }) => ({ name, arguments: JSON.parse(text) }));
    return answer;
  }

  /** How it comes back: "whole", or what goes wrong in a few words that a table can have. */
  function tryOut(answer: Answer, asks: object, before: object[] = [USER], written = asks): string {
    try {
      const text = (answer.reasoning === undefined ? write : writeThinking)(answer, written, before);
      if (text === null) return "left out";
      const parsed = parse(text, before, asks);
      if (parsed === "not understood") return parsed;
      return Bun.deepEquals(parsed, answer) ? "whole" : `as ${JSON.stringify(parsed)}`;
    } catch (thrown) {
      if (thrown instanceof NativeError) return `refused: ${thrown.message}`;
      throw thrown;
    }
  }

  const CASES: Record<string, () => string> = {
    plain: () => tryOut(PLAIN, {}),
    tools: () => tryOut(ONE_CALL, WITH_TOOLS),
    "parallel tools": () => tryOut(TWO_CALLS, { ...WITH_TOOLS, parallelToolCalls: true }),
    "tool result": () => {
      const before = [USER, toMessage(ONE_CALL), ...results(ONE_CALL)];
      if (!render(before, WITH_TOOLS).includes("RESULT 0")) return "left out";
      return tryOut(PLAIN, WITH_TOOLS, before);
    },
    reasoning: () => tryOut({ ...PLAIN, reasoning: REASONING }, {}),
    "reasoning, then a tool": () => tryOut({ ...ONE_CALL, reasoning: REASONING }, WITH_TOOLS),
    required: () => tryOut(ONE_CALL, { ...WITH_TOOLS, toolChoice: "required" }, [USER], WITH_TOOLS),
  };

  test.each(Object.keys(CASES))("%s", (name) => {
    expect(CASES[name]?.()).toBe(TEMPLATE_EXCUSES[template]?.[name] ?? "whole");
  });
});

test.skipIf(!HAS_TEMPLATES)("the table excuses no template that is not there", () => {
  expect(Object.keys(TEMPLATE_EXCUSES).filter((template) => !TEMPLATES.includes(template))).toEqual([]);
});
