// What the schemas of Anthropic's requests ask of the answer: lowered for the grammar, and what it does not keep is told
// with the names that this dialect has for its places.

import { describe, expect, test } from "bun:test";
import { DONE_EVENT, playEvents, playText } from "../support/fake-inference.ts";
import { createTestApp, readJson } from "../support/http-app.ts";
import { HELLO, MESSAGES, readEvents, readMessageError } from "../support/messages.ts";

const EVEN = { type: "object", properties: { n: { type: "integer", multipleOf: 2 } }, required: ["n"] };
const TOOLS = [{ name: "even", input_schema: EVEN }];
const format = { type: "json_schema", schema: EVEN };

const callEvents = (text: string) =>
  playEvents(
    { type: "delta", text: "I call." },
    {
      type: "delta",
      toolCalls: [{ index: 0, id: "a", name: "even", arguments: text }],
    },
    { ...DONE_EVENT, finishReason: "tool_calls" } as typeof DONE_EVENT,
  );

const RELAXED = {
  code: "schema_relaxed",
  tool: "even",
  path: "tools[0].input_schema#/properties/n",
  message: "`multipleOf` is not kept by the grammar: a grammar does not divide",
};
const BROKEN = {
  code: "schema_mismatch",
  tool: "even",
  path: "content.tool_use[0].input#/n",
  message: "is no multiple of 2",
};

describe("what the grammar does not keep", () => {
  test("of a tool is in the header, and with what was broken in the warnings", async () => {
    const { post, inference } = createTestApp();
    inference.script = callEvents('{"n": 3}');
    const response = await post(MESSAGES, { ...HELLO, tools: TOOLS });
    expect(response.headers.get("X-MLO-Relaxed")).toBe("even#/properties/n (multipleOf)");
    expect((await readJson(response)).mlo.warnings).toEqual([RELAXED, BROKEN]);
    const { prompt } = inference.lastRequest;
    expect(prompt.kind === "chat" && prompt.tools?.[0]?.function.grammarParameters).toMatchObject({ type: "object" });
  });

  test("is in a stream's last delta", async () => {
    const { post, inference } = createTestApp();
    inference.script = callEvents('{"n": 3}');
    const response = await post(MESSAGES, { ...HELLO, tools: TOOLS, stream: true });
    expect(response.headers.get("X-MLO-Relaxed")).toBe("even#/properties/n (multipleOf)");
    expect((await readEvents(response)).at(-2).mlo.warnings).toEqual([RELAXED, BROKEN]);
  });

  test.each([
    [{ output_config: { format } }, "output_config.format.schema"],
    [{ output_format: format }, "output_format.schema"],
  ])("of a format is told with the field that had it: %j", async (changes, param) => {
    const { post, inference } = createTestApp();
    inference.script = playText('{"n": 3}');
    const response = await post(MESSAGES, { ...HELLO, ...changes });
    expect(response.headers.get("X-MLO-Relaxed")).toBe("output_config.format#/properties/n (multipleOf)");
    const { warnings } = (await readJson(response)).mlo;
    expect(warnings.map(({ path }: { path: string }) => path)).toEqual([`${param}#/properties/n`, "content.text#/n"]);
  });

  test("is refused under `strict`, with its place", async () => {
    const { post, inference } = createTestApp();
    const response = await post(MESSAGES, { ...HELLO, tools: [{ name: "even", input_schema: EVEN, strict: true }] });
    expect(await readMessageError(response)).toMatchObject({
      status: 400,
      code: "not_supported",
      param: "tools[0].input_schema",
    });
    expect(inference.generateCalls).toHaveLength(0);
  });
});

test("right answers have neither header nor warnings", async () => {
  const { post, inference } = createTestApp();
  inference.script = callEvents('{"n": 3}');
  const tools = [{ name: "even", input_schema: { type: "object", properties: { n: { type: "integer" } } } }];
  const response = await post(MESSAGES, { ...HELLO, tools });
  expect(response.headers.get("X-MLO-Relaxed")).toBeNull();
  expect((await readJson(response)).mlo.warnings).toBeUndefined();
});
