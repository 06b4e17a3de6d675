// Where a rendered chat can be gone on from: the places that a prompt tells of are those up to which the next turn, and
// other conversations with the same system text, have the same tokens.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { NativeModel } from "../../src/ffi/model.ts";
import { NativePrompt } from "../../src/ffi/prompt.ts";
import { HAS_NATIVE, loadDemoModel } from "../support/llama-library.ts";

interface Places {
  tokens: Int32Array;
  preamble: number;
  turns: number[];
}

const SYSTEM = { role: "system", content: "You answer briefly." };
const HELLO = { role: "user", content: "Say hello." };
const ANSWER = { role: "assistant", content: "Hello, of course, and a good day." };
const MORE = { role: "user", content: "And in French?" };

describe.skipIf(!HAS_NATIVE)("places of a prompt", () => {
  let model: NativeModel;

  beforeAll(async () => {
    model = await loadDemoModel();
  });

  afterAll(() => model[Symbol.dispose]());

  function read(request: object): Places {
    using job = NativePrompt.read(model, request);
    while (job.poll().kind === "running") Bun.sleepSync(1);
    using prompt = job.take();
    const { preamble, turns } = prompt.facts();
    return { tokens: prompt.tokens(), preamble, turns };
  }

  const chat = (...messages: object[]): Places => read({ kind: "chat", messages });

  function countShared(a: Int32Array, b: Int32Array): number {
    const at = a.findIndex((token, i) => token !== b[i]);
    return at < 0 ? a.length : at;
  }

  test("the next turn has the same tokens up to the last of them, and to nothing behind the answer's beginning", () => {
    const first = chat(SYSTEM, HELLO);
    const next = chat(SYSTEM, HELLO, ANSWER, MORE);
    const [question = 0, answer = 0] = first.turns;
    expect(first.turns).toHaveLength(2);
    expect(question).toBe(first.preamble);
    expect(answer).toBeGreaterThan(question);
    expect(answer).toBeLessThan(first.tokens.length);
    expect(countShared(first.tokens, next.tokens)).toBeGreaterThanOrEqual(answer);
    expect(next.turns[0]).toBeGreaterThan(answer);
  });

  test("an edited question leaves it where that begins", () => {
    const next = chat(SYSTEM, HELLO, ANSWER, MORE);
    const edited = chat(SYSTEM, HELLO, ANSWER, { role: "user", content: "Now in Italian, please." });
    expect(countShared(edited.tokens, next.tokens)).toBeGreaterThanOrEqual(next.turns[0] ?? 0);
    expect(next.turns[0]).toBe(edited.turns[0] ?? -1);
  });

  test("another conversation has the same system text", () => {
    const { preamble, tokens } = chat(SYSTEM, HELLO);
    expect(preamble).toBeGreaterThan(0);
    expect(countShared(tokens, chat(SYSTEM, MORE).tokens)).toBeGreaterThanOrEqual(preamble);
  });

  test("a text and tokens have none", () => {
    expect(read({ kind: "text", text: "Say hello." })).toMatchObject({ preamble: 0, turns: [] });
    expect(read({ kind: "tokens", tokens: [5, 6, 7] })).toMatchObject({ preamble: 0, turns: [] });
  });
});
