// Chat templates of model files over a real engine: conversations are rendered by them, and one that does not parse ends the
// load with the reason.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { postJson } from "../support/completions.ts";
import { DEMO_PATH } from "../support/fake-inference.ts";
import type { Json } from "../support/http-app.ts";
import { HAS_NATIVE } from "../support/llama-library.ts";
import { type Server, startServer } from "../support/server.ts";

const MESSAGES = [{ role: "user", content: "hello" }];
const OWN = "{% for message in messages %}[{{ message.role }}] {{ message.content }} {% endfor %}[bot]";

describe.skipIf(!HAS_NATIVE)("a chat template of a model file", () => {
  let server: Server;
  let folder = "";
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "mlo-template-"));
    const describeModel = (id: string, settings: object) =>
      writeFileSync(join(folder, `${id}.json`), JSON.stringify({ model_id: id, path: DEMO_PATH, settings }));
    describeModel("inline", { chat_template: OWN });
    describeModel("file", { chat_template_file: "own.jinja" });
    describeModel("chatml", { chat_template: "chatml" });
    describeModel("broken", { chat_template: "{% for x in %}" });
    describeModel("plain", { ctx: 128 });
    writeFileSync(join(folder, "own.jinja"), OWN);
    server = await startServer({ env: { MODEL_CONFIG_DIR: folder } });
  });
  afterAll(async () => {
    await server.stop();
    rmSync(folder, { recursive: true });
  });

  const ask = async (path: string, body: object): Promise<Json> =>
    (await postJson(`${server.url}${path}`, body)).json();
  const render = async (model: string): Promise<string> =>
    (await ask("/apply-template", { model, messages: MESSAGES })).prompt;

  test("writes the prompt, inline or from its file", async () => {
    expect(await render("inline")).toBe("[user] hello [bot]");
    expect(await render("file")).toBe("[user] hello [bot]");
    expect(await render("chatml")).toContain("<|im_start|>user\nhello<|im_end|>");
    expect(await render("plain")).not.toContain("[bot]");
    const answer = await ask("/v1/chat/completions", { model: "inline", messages: MESSAGES, max_tokens: 3 });
    const { tokens } = await ask("/tokenize", { model: "inline", content: "[user] hello [bot]", add_special: true });
    expect(answer.usage.prompt_tokens).toBe(tokens.length);
  });

  test("is told by name", async () => {
    expect((await ask("/api/show", { model: "file" })).template).toBe(OWN);
    expect((await ask("/api/show", { model: "plain" })).template).toBe("");
    const get = async (id: string): Promise<Json> =>
      (await (await fetch(`${server.url}/api/models/by-id/${id}`)).json()) as Json;
    expect((await get("inline")).modelFile).toEqual({
      name: "inline.json",
      content: { model_id: "inline", path: DEMO_PATH, settings: { chat_template: OWN } },
      hardware: [],
      withoutEffect: [],
      chatTemplate: OWN,
    });
    expect((await get("plain")).modelFile).toMatchObject({ chatTemplate: null });
  });

  test("that does not parse ends the load with the reason, also for those who only complete text", async () => {
    for (const [path, body] of [
      ["/v1/chat/completions", { messages: MESSAGES }],
      ["/v1/completions", { prompt: "x" }],
    ] as const) {
      const { error } = await ask(path, { model: "broken", ...body, max_tokens: 1 });
      expect(error).toMatchObject({ code: "model_damaged" });
      expect(error.message).toContain("the chat template that was given does not parse");
    }
    // Others of the same weights are not touched by it.
    expect(await render("inline")).toBe("[user] hello [bot]");
  });
});
