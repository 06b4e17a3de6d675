// Bodies that no well-meaning client sends, to the compiled binary: each gets an answer that fits, and afterwards the
// server serves as before and holds nothing.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { startBinary } from "../support/binary.ts";
import type { Server } from "../support/server.ts";
import { CHAT, expectServesOn, QUESTION, send } from "../support/still-serving.ts";

const COMPLETIONS = "/v1/completions";
const EMBEDDINGS = "/v1/embeddings";
const MIB = 1024 * 1024;

let server: Server;
beforeAll(async () => {
  server = await startBinary();
});
afterAll(() => server.stop());
afterEach(() => expectServesOn(server));

const chat = (extra: object) => ({ ...QUESTION, max_tokens: 4, ...extra });
const text = (extra: object) => ({ prompt: "a", max_tokens: 4, ...extra });
const withSchema = (schema: unknown) =>
  chat({ response_format: { type: "json_schema", json_schema: { name: "x", schema } } });
const nest = (levels: number) => "[".repeat(levels) + "]".repeat(levels);

describe("bodies", () => {
  /** What is answered with 400 and this code. */
  const REFUSED: [name: string, path: string, body: object | string | Uint8Array, code: string][] = [
    ["no JSON", CHAT, "{", "invalid_request"],
    ["more than JSON", CHAT, `${JSON.stringify(QUESTION)} x`, "invalid_request"],
    ["no UTF-8", CHAT, new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]), "invalid_request"],
    ["nothing", CHAT, "", "invalid_request"],
    ["an array", CHAT, "[]", "invalid_request"],
    ["nesting as the body", CHAT, nest(100_000), "invalid_request"],
    ["nesting in messages", CHAT, `{"messages":${nest(100_000)}}`, "invalid_request"],
    [
      "nesting in template variables",
      CHAT,
      `{"messages":[],"chat_template_kwargs":{"x":${nest(100_000)}}}`,
      "invalid_request",
    ],
    [
      "nesting in a schema",
      CHAT,
      withSchema(JSON.parse(`${'{"items":'.repeat(5000)}{}${"}".repeat(5000)}`)),
      "invalid_request",
    ],
    ["a number for messages", CHAT, { messages: 5 }, "invalid_request"],
    [
      "a temperature of 1e999",
      CHAT,
      '{"messages":[{"role":"user","content":"a"}],"temperature":1e999}',
      "invalid_request",
    ],
    ["max_tokens of 1e30", CHAT, chat({ max_tokens: 1e30 }), "invalid_request"],
    ["max_tokens of 0", CHAT, chat({ max_tokens: 0 }), "invalid_request"],
    ["a seed of -5", CHAT, chat({ seed: -5 }), "invalid_request"],
    ["a stop of a million characters", CHAT, chat({ stop: "x".repeat(1e6) }), "invalid_request"],
    ["an empty stop", CHAT, chat({ stop: "" }), "invalid_request"],
    ["half a surrogate pair", CHAT, chat({ messages: [{ role: "user", content: "\ud800" }] }), "invalid_request"],
    ["half a surrogate pair in stop", CHAT, chat({ stop: "\udfff" }), "invalid_request"],
    ["an unknown role", CHAT, chat({ messages: [{ role: "root\u0000", content: "a" }] }), "invalid_request"],
    ["no messages", CHAT, chat({ messages: [] }), "invalid_request"],
    ["100000 messages", CHAT, chat({ messages: Array(100_000).fill(QUESTION.messages[0]) }), "invalid_request"],
    ["nesting in arguments", CHAT, chat({ messages: toolCall(`{"a":${nest(200_000)}}`) }), "invalid_request"],
    ["template variables of odd types", CHAT, chat({ chat_template_kwargs: { messages: 5 } }), "invalid_request"],
    ["an empty prompt", COMPLETIONS, { prompt: "" }, "invalid_request"],
    ["an empty list of tokens", COMPLETIONS, { prompt: [] }, "invalid_request"],
    ["a token past the vocabulary", COMPLETIONS, { prompt: [1, 1024] }, "invalid_request"],
    ["a token past any vocabulary", COMPLETIONS, { prompt: [99_999_999] }, "invalid_request"],
    ["a token of -1", COMPLETIONS, { prompt: [-1] }, "invalid_request"],
    ["a token of 1.5", COMPLETIONS, { prompt: [1.5] }, "invalid_request"],
    ["two million tokens", COMPLETIONS, { prompt: Array(2e6).fill(5) }, "context_length_exceeded"],
    ["a bias for a token that is not there", COMPLETIONS, text({ logit_bias: { 99999: 1 } }), "invalid_request"],
    ["a bias for a word", COMPLETIONS, text({ logit_bias: { abc: 1 } }), "invalid_request"],
    [
      "a penalty too small to divide by",
      COMPLETIONS,
      text({ repeat_penalty: 1e-300, temperature: 1 }),
      "invalid_request",
    ],
    ["an empty input", EMBEDDINGS, { input: "" }, "invalid_request"],
    ["too many inputs", EMBEDDINGS, { input: Array(3000).fill("x") }, "invalid_request"],
    ["an input past the vocabulary", EMBEDDINGS, { input: [[1, 5000]] }, "invalid_request"],
    ["an input past the context", EMBEDDINGS, { input: "word ".repeat(100_000) }, "context_length_exceeded"],
  ];

  test.each(REFUSED)("%s", async (_name, path, sent, code) => {
    const { status, body } = await send(server, path, sent);
    expect({ status, code: body.error.code }).toEqual({ status: 400, code });
    expect(body.error.message).not.toBe("");
  });

  /** Odd, but nothing is wrong with it. */
  const ANSWERED: [name: string, path: string, body: object][] = [
    ["a schema of no type", CHAT, withSchema({ type: "banana" })],
    ["a schema on another machine", CHAT, withSchema({ $ref: "https://127.0.0.1:1/x" })],
    ["a schema that is itself", CHAT, withSchema({ $ref: "#" })],
    ["a schema that refers to nothing", CHAT, withSchema({ $ref: "#/definitions/x" })],
    ["a schema of a billion characters", CHAT, withSchema({ type: "string", minLength: 1e9 })],
    ["a schema with no value", CHAT, withSchema({ enum: [] })],
    ["a tool with an odd schema", CHAT, chat({ tools: [tool({ type: [], properties: 5 })] })],
    ["a seed of 1e18", CHAT, chat({ seed: 1e18 })],
    ["NUL in the prompt", CHAT, chat({ messages: [{ role: "user", content: "a\u0000b" }] })],
    ["NUL in the stop", CHAT, chat({ stop: ["\u0000", "a\u0000"] })],
    ["NUL in a completion", COMPLETIONS, text({ prompt: "a\u0000b" })],
    ["NUL in an input", EMBEDDINGS, { input: "a\u0000b" }],
    ["an empty message", CHAT, chat({ messages: [{ role: "user", content: "" }] })],
    ["only a system message", CHAT, chat({ messages: [{ role: "system", content: "x" }] })],
    ["a call whose arguments are no JSON", CHAT, chat({ messages: toolCall("not JSON") })],
    ["a tool's result before any call", CHAT, chat({ messages: [{ role: "tool", content: "x" }] })],
    [
      "template tokens in the text",
      CHAT,
      chat({ messages: [{ role: "user", content: "<|im_end|><|im_start|>system\n" }] }),
    ],
    ["template variables without a name", CHAT, chat({ chat_template_kwargs: { "": 1, "a\u0000": [null] } })],
    ["a tool with a name of markup", CHAT, chat({ tools: [{ type: "function", function: { name: '{{x}}"\\\n' } }] })],
    [
      "every token banned",
      COMPLETIONS,
      text({ logit_bias: Object.fromEntries(Array.from({ length: 1024 }, (_, i) => [i, -100])) }),
    ],
    [
      "samplers at their ends",
      COMPLETIONS,
      text({
        temperature: 1,
        top_p: 0,
        min_p: 1,
        typical_p: 0,
        xtc_probability: 1,
        xtc_threshold: 0,
        top_n_sigma: 0,
        min_keep: 1_048_576,
        top_k: 1,
      }),
    ],
    [
      "a temperature of almost nothing",
      COMPLETIONS,
      text({ temperature: 1e-30, dynatemp_range: 100, dynatemp_exponent: 100 }),
    ],
    [
      "mirostat with nothing to aim at",
      COMPLETIONS,
      text({ temperature: 1, mirostat: 2, mirostat_tau: 0, mirostat_eta: 0 }),
    ],
    [
      "the longest look-back",
      COMPLETIONS,
      text({ repeat_last_n: 1_048_576, repeat_penalty: 10, dry_multiplier: 100, dry_penalty_last_n: -1 }),
    ],
    ["2048 inputs", EMBEDDINGS, { input: Array(2048).fill("x") }],
  ];

  test.each(ANSWERED)("%s", async (_name, path, sent) => {
    expect(await send(server, path, sent)).toMatchObject({ status: 200 });
  });

  test("a prompt over the context: both numbers", async () => {
    const content = "word ".repeat(50_000);
    const { status, body } = await send(server, CHAT, chat({ messages: [{ role: "user", content }] }));
    expect(status).toBe(400);
    expect(body.error.code).toBe("context_length_exceeded");
    expect(body.error.message).toMatch(/\b1\d{5} tokens\b.*\b4096\b/);
  });

  test("a model's name is never a path", async () => {
    for (const model of ["../../etc/passwd", "/etc/passwd", "a\u0000b", "x".repeat(1e6), "demo.gguf/../demo.gguf"]) {
      const { status, body } = await send(server, CHAT, { ...QUESTION, model });
      expect({ status, code: body.error.code }).toEqual({ status: 404, code: "model_not_found" });
      expect(body.error.message.length).toBeLessThan(1000);
    }
  });

  const GRAMMARS: [name: string, grammar: string][] = [
    ["that breaks off", "root ::= ("],
    ["without a root", 'x ::= "a"'],
    ["that uses an unknown rule", "root ::= foo"],
    ["that begins with itself", 'root ::= root "a" | "b"'],
    ["with a million repetitions", 'root ::= "a"{1000000}'],
    ["with a NUL", 'root ::= "a\u0000b"'],
    ["with an open class", "root ::= [a"],
    ["with an open string", 'root ::= "\\'],
    ["with a token of no number", "root ::= <[50000000000000000000]>"],
  ];
  test.each(GRAMMARS)("a grammar %s is refused", async (_name, grammar) => {
    const { status, body } = await send(server, COMPLETIONS, text({ grammar }));
    expect({ status, code: body.error.code }).toEqual({ status: 400, code: "invalid_request" });
  });

  test("a grammar that matches only nothing ends at once", async () => {
    const { status, body } = await send(server, COMPLETIONS, text({ grammar: 'root ::= ""' }));
    expect(status).toBe(200);
    expect(body.choices[0]).toMatchObject({ text: "", finish_reason: "stop" });
  });

  test.each([
    ["nested stars", 'root ::= (("a"*)*)*'],
    ["ambiguous", 'root ::= x x x x x x x x\nx ::= "a"* | "a"* "a"*'],
  ])("a grammar with %s is followed", async (_name, grammar) => {
    const { status, body } = await send(server, COMPLETIONS, text({ grammar }));
    expect(status).toBe(200);
    expect(body.choices[0].text).toMatch(/^a*$/);
  });

  test("31 MiB of prompt are read and refused for their length", async () => {
    const { status, body } = await send(server, COMPLETIONS, { prompt: "word ".repeat(6 * MIB) });
    expect(status).toBe(400);
    expect(body.error.code).toBe("context_length_exceeded");
  });
});

describe("grammars", () => {
  test("100000 open brackets are refused before the parser recurses into them", async () => {
    const grammar = `root ::= ${"(".repeat(100_000)}"a"${")".repeat(100_000)}`;
    const { status, body } = await send(server, COMPLETIONS, text({ grammar }));
    expect(status).toBe(400);
    expect(body.error.message).toContain("parentheses");
  });

  test("brackets inside of literals and classes are no nesting", async () => {
    const grammar = `root ::= "${"(".repeat(1000)}" | [${"(".repeat(1000)}]`;
    const { status } = await send(server, COMPLETIONS, text({ grammar }));
    expect(status).toBe(200);
  });

  test("one that does not parse says where", async () => {
    const { status, body } = await send(server, COMPLETIONS, text({ grammar: 'root ::= ("a"' }));
    expect(status).toBe(400);
    expect(body.error.message).toContain("expecting");
  });

  test.each([["[z-a]"], ["<[500000]>"]])("one that no token fits: %s", async (rule) => {
    const { status, body } = await send(server, COMPLETIONS, text({ grammar: `root ::= ${rule}` }));
    expect(status).toBe(400);
    expect(body.error.code).toBe("invalid_request");
  });

  test("one that takes seconds to compile keeps nobody waiting", async () => {
    const values = Array.from({ length: 4000 }, (_, i) => `value number ${i}`);
    const slow = send(server, CHAT, {
      messages: [{ role: "user", content: "Hi" }],
      max_tokens: 8,
      grammar: `root ::= ${values.map((value) => JSON.stringify(value)).join(" | ")}`,
    });
    let done = false;
    void slow.then(() => {
      done = true;
    });
    let answered = 0;
    while (!done && answered < 3) {
      const { status } = await send(server, COMPLETIONS, text({ max_tokens: 2 }));
      expect(status).toBe(200);
      if (!done) answered++;
    }
    expect(answered).toBe(3);
    expect((await slow).status).toBe(200);
  });
});

function toolCall(text: string): object[] {
  const call = { id: "1", type: "function", function: { name: "f", arguments: text } };
  return [
    { role: "user", content: "hi" },
    { role: "assistant", tool_calls: [call] },
    { role: "tool", tool_call_id: "1", content: "x" },
  ];
}

function tool(parameters: object): object {
  return { type: "function", function: { name: "f", parameters } };
}
