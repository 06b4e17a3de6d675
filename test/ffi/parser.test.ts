// Answers pushed token by token: what is handed out in all equals what one parse of the whole text says, arguments
// stream, and llama.cpp's parser reads a small multiple of a long answer's bytes.

import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { NativeModel } from "../../src/ffi/model.ts";
import { NativeParser, type ParsedPiece } from "../../src/ffi/parser.ts";
import { NativePrompt } from "../../src/ffi/prompt.ts";
import { ANSWER_FORMATS, type Answer, type AnswerFormat } from "../support/answer-formats.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { TINY_SPEC } from "../support/model-specs.ts";

const TEMPLATES = join(import.meta.dir, "../../vendor/llama.cpp/models/templates");
const HAS_TEMPLATES = HAS_NATIVE && existsSync(TEMPLATES);
const PARSED_FACTOR_MAX = 8;
const LONG_TOKENS = 16_384;

const string = { type: "string" };
const TOOLS = [
  {
    name: "write_file",
    parameters: { type: "object", properties: { path: string, text: string }, required: ["path", "text"] },
  },
  {
    name: "add",
    parameters: {
      type: "object",
      properties: { a: { type: "integer" }, b: { type: "array", items: { type: "number" } } },
      required: ["a", "b"],
    },
  },
].map((tool) => ({ type: "function", function: { description: "A tool.", ...tool } }));

const HTML =
  '<!doctype html>\n<ul class="tool_call"><li>a < b && b > c</li><|x|></ul>\n<t><tool><to <|s <function> </think <｜tool' +
  '\n```json\n{ "name": [1, 2, {}] }\n```\n[TOOL] [T >> > [ { \\n \\u12 \'q\' "q" é 漢字 🙂 \n\n';
const CODE = 'const a = {"b": [1, "two\\n", `x`]};\n\tif (a<b) { return "\\\\"; } // <div>…</div>\n';

const ANSWERS: Record<string, Answer> = {
  content: { content: "Hello there. This is plain text,\nin two lines." },
  html: { content: `Some HTML: ${HTML.repeat(3)}` },
  reasoning: { reasoning: "First I think.\n\nThen I think again.", content: "And so I say." },
  "reasoning of code": { reasoning: `See ${CODE} and <div> too`, content: CODE.repeat(2) },
  call: { calls: [{ name: "write_file", arguments: { path: "a/b.ts", text: CODE.repeat(3) } }] },
  "call behind text": {
    content: "I'll write it.",
    calls: [{ name: "write_file", arguments: { path: "é/漢.html", text: `${HTML}end` } }],
  },
  "call behind thoughts": {
    reasoning: "It needs a file.",
    calls: [{ name: "add", arguments: { a: 12, b: [1.5, -2] } }],
  },
  "several calls": {
    calls: [
      { name: "add", arguments: { a: 1, b: [] } },
      { name: "write_file", arguments: { path: "x", text: `${CODE}\n` } },
      { name: "add", arguments: { a: 20, b: [3, 4, 5] } },
    ],
  },
};

function isWritten(format: AnswerFormat, answer: Answer): boolean {
  if (answer.reasoning !== undefined && !format.thinks) return false;
  if ((answer.calls?.length ?? 0) > 1 && !format.parallel) return false;
  if (format.reserved !== undefined && answer.content?.includes(format.reserved)) return false;
  return answer.calls === undefined || answer.content === undefined || format.mixes;
}

/** Small repeatable numbers in [0, 1). */
function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A text in pieces of 1 to `longest` characters, as tokens are. */
function split(text: string, longest: number, seed: number): string[] {
  const random = makeRandom(seed);
  const characters = [...text];
  const pieces: string[] = [];
  for (let at = 0; at < characters.length; ) {
    const length = 1 + Math.floor(random() * longest);
    pieces.push(characters.slice(at, at + length).join(""));
    at += length;
  }
  return pieces;
}

interface Message {
  text: string;
  reasoning: string;
  calls: { name: string; arguments: string }[];
}

function collect(pieces: ParsedPiece[]): Message {
  const message: Message = { text: "", reasoning: "", calls: [] };
  for (const piece of pieces) {
    message.text += piece.text ?? "";
    message.reasoning += piece.reasoning ?? "";
    if (piece.toolCall === undefined) continue;
    const { index, id, name } = piece.toolCall;
    expect(index).toBeLessThanOrEqual(message.calls.length);
    expect(id !== undefined).toBe(index === message.calls.length);
    message.calls[index] ??= { name: name ?? "", arguments: "" };
    (message.calls[index] as { arguments: string }).arguments += piece.toolCall.arguments;
  }
  return message;
}

const models = new Map<string, NativeModel>();

async function loadModel(template: string): Promise<NativeModel> {
  const loaded = models.get(template);
  if (loaded !== undefined) return loaded;
  const { library } = await openLlama();
  const small = { layers: 1, width: 32, heads: 2, kvHeads: 1, headSize: 16, feedForward: 64 };
  const chatTemplate = readFileSync(join(TEMPLATES, `${template}.jinja`), "utf8");
  using job = NativeModel.load(library, cacheModel({ ...TINY_SPEC, ...small, chatTemplate }), { gpuLayers: 0 });
  while (job.poll().kind === "running") Bun.sleepSync(1);
  const model = job.take();
  models.set(template, model);
  return model;
}

async function makeParser(
  template: string,
  asks: object = { tools: TOOLS, parallelToolCalls: true },
): Promise<NativeParser> {
  const model = await loadModel(template);
  const request = { kind: "chat", messages: [{ role: "user", content: "Hello" }], ...asks };
  using job = NativePrompt.read(model, request);
  while (job.poll().kind === "running") Bun.sleepSync(1);
  using prompt = job.take();
  return NativeParser.make(model.library, prompt);
}

/** What one parse of the whole text says; null = the text does not fit the format. */
async function parseWhole(template: string, text: string): Promise<Message | null> {
  using parser = await makeParser(template);
  const message = collect(parser.push(text, true));
  return parser.mismatches() === 0 ? message : null;
}

/** Pushes the text piece by piece. `steps`: how many pushes handed something out. */
async function stream(
  template: string,
  pieces: string[],
): Promise<{ message: Message; steps: number; parsed: number }> {
  using parser = await makeParser(template);
  const out: ParsedPiece[] = [];
  let steps = 0;
  for (const piece of pieces) {
    const added = parser.push(piece, false);
    steps += added.length > 0 ? 1 : 0;
    out.push(...added);
  }
  out.push(...parser.push("", true));
  expect(parser.mismatches()).toBe(0);
  return { message: collect(out), steps, parsed: parser.parsedBytes() };
}

afterAll(() => {
  for (const model of models.values()) model[Symbol.dispose]();
});

describe.skipIf(!HAS_TEMPLATES).each(ANSWER_FORMATS)("an answer as $template writes it", (format) => {
  const cases = Object.entries(ANSWERS).filter(([, answer]) => isWritten(format, answer));

  test.each(cases)("%s", async (_name, answer) => {
    const text = format.write(answer);
    const whole = await parseWhole(format.template, text);
    expect(whole?.calls.map((call) => [call.name, JSON.parse(call.arguments)])).toEqual(
      (answer.calls ?? []).map((call) => [call.name, call.arguments]),
    );
    expect(whole?.text.trim()).toBe((answer.content ?? "").trim());
    expect(whole?.reasoning.trim()).toBe((answer.reasoning ?? "").trim());
    for (const longest of [1, 5, 40]) {
      expect((await stream(format.template, split(text, longest, longest))).message).toEqual(whole as Message);
    }
  });

  test("answers that end early", async () => {
    const random = makeRandom(7);
    for (const [, answer] of cases) {
      const characters = [...format.write(answer)];
      for (let i = 0; i < 6; i++) {
        const text = characters.slice(0, Math.floor(random() * characters.length)).join("");
        const whole = await parseWhole(format.template, text);
        if (whole !== null) expect((await stream(format.template, split(text, 4, i))).message).toEqual(whole);
      }
    }
  });
});

const UNFIT: [template: string, told: string, rest: string][] = [
  ["meta-llama-Llama-3.1-8B-Instruct", "", '{"name": "Bob", "age": 3}'],
  ["openai-gpt-oss-120b", "", "No channel at all."],
  ["GLM-4.6", "I write ", "<tool_call> is how a call begins."],
  ["Qwen-Qwen3-0.6B", "Now: ", '<tool_call>\n{"name": "no_such_tool", "arguments": {}}\n</tool_call>'],
];

test.skipIf(!HAS_TEMPLATES).each(UNFIT)(
  "%s: an answer that is not of its format comes as it is",
  async (name, told, rest) => {
    for (const longest of [1, 7, 400]) {
      using parser = await makeParser(name);
      const pieces = split(told + rest, longest, 2).flatMap((piece) => parser.push(piece, false));
      expect(collect([...pieces, ...parser.push("", true)])).toEqual({ text: told + rest, reasoning: "", calls: [] });
    }
  },
);

/** About as many tokens as asked for, of a text over and over. */
const long = (text: string): string[] =>
  split(text.repeat(Math.ceil((LONG_TOKENS * 4) / text.length)), 7, 3).slice(0, LONG_TOKENS);

const LONG_TEXTS: [string, string, (text: string) => Answer][] = [
  ["content", "The quick brown fox jumps over the lazy dog. ", (content) => ({ content })],
  ["HTML-heavy content", HTML, (content) => ({ content })],
  ["tool arguments", HTML + CODE, (text) => ({ calls: [{ name: "write_file", arguments: { path: "a", text } }] })],
];

describe.skipIf(!HAS_TEMPLATES).each(ANSWER_FORMATS)("16k tokens as $template writes them", (format) => {
  test.each(LONG_TEXTS)("%s", async (_name, text, answer) => {
    const readable = format.reserved === undefined ? text : text.replaceAll(format.reserved, "");
    const written = format.write(answer(long(readable).join("")));
    const pieces = split(written, 7, 5).slice(0, LONG_TOKENS);
    const bytes = Buffer.byteLength(pieces.join(""));
    const { message, steps, parsed } = await stream(format.template, pieces);
    expect(message).toEqual((await parseWhole(format.template, pieces.join(""))) as Message);
    expect(parsed).toBeLessThanOrEqual(PARSED_FACTOR_MAX * bytes);
    // Handed out as it comes, and not in the end.
    expect(steps).toBeGreaterThan(pieces.length * 0.8);
  });
});

describe.skipIf(!HAS_TEMPLATES)("texts that a parser is slow with", () => {
  const template = "Qwen-Qwen3-0.6B";
  const format = ANSWER_FORMATS.find((known) => known.template === template) as AnswerFormat;

  test("numbers without end", async () => {
    const b = Array.from({ length: LONG_TOKENS }, (_, i) => i % 1000);
    const text = format.write({ calls: [{ name: "add", arguments: { a: 1, b } }] });
    const { message, steps, parsed } = await stream(template, split(text, 7, 1));
    expect(message.calls[0]?.arguments).toBe(JSON.stringify({ a: 1, b }));
    expect(parsed).toBeLessThanOrEqual(PARSED_FACTOR_MAX * text.length);
    expect(steps).toBeGreaterThan(1000);
  });

  test("many small calls behind a long text", async () => {
    const calls = Array.from({ length: 40 }, (_, a) => ({ name: "add", arguments: { a, b: [a] } }));
    const text = format.write({ reasoning: HTML.repeat(150), content: CODE.repeat(200), calls });
    const { message, parsed } = await stream(template, split(text, 7, 1));
    expect(message).toEqual((await parseWhole(template, text)) as Message);
    expect(message.calls).toHaveLength(calls.length);
    expect(parsed).toBeLessThanOrEqual(PARSED_FACTOR_MAX * text.length);
  });

  test("content that is JSON by its schema", async () => {
    const asks = { jsonSchema: { type: "object" } };
    const content = JSON.stringify({ list: Array.from({ length: 3000 }, (_, i) => ({ i, text: CODE })) });
    const text = `${format.write({ reasoning: "Hm.", content })}\n `;
    using whole = await makeParser(template, asks);
    using parser = await makeParser(template, asks);
    const pieces = [...split(text, 7, 1).flatMap((piece) => parser.push(piece, false)), ...parser.push("", true)];
    expect(collect(pieces)).toEqual(collect(whole.push(text, true)));
    expect(collect(pieces).text).toBe(content);
    expect(parser.mismatches()).toBe(0);
    expect(parser.parsedBytes()).toBeLessThanOrEqual(2 * text.length);
  });

  test("a text full of the format's own words", async () => {
    const text = `<think>x</think>${"<tool_call> </tool_call> <think> </think> ".repeat(1600)}`;
    using parser = await makeParser(template);
    for (const piece of split(text, 7, 1)) parser.push(piece, false);
    expect(parser.parsedBytes()).toBeLessThanOrEqual(PARSED_FACTOR_MAX * text.length);
  });
});
