// Chat templates of model files: where they are read from, what they make of a model, and what is wrong with them.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ModelRegistry } from "../../src/models/registry.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { smallModel } from "../support/raw-gguf.ts";

const chat = smallModel();
const encoder = smallModel([], "bert");
const roots: string[] = [];
afterAll(() => {
  for (const root of roots) rmSync(root, { recursive: true, force: true });
});

const TOOLS = "{% if tools %}{{ tools }}{% endif %}{{ messages[0].content }}";

function makeRegistry(files: Record<string, string>): { root: string; registry: ModelRegistry } {
  const root = mkdtempSync(join(tmpdir(), "mlo-templates-"));
  roots.push(root);
  for (const [name, content] of Object.entries({ "models/m.gguf": chat, "models/e.gguf": encoder, ...files })) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  const modelFiles = { folder: join(root, "files"), env: { HOME: root } };
  const modelsDirs = [join(root, "models")];
  const registry = new ModelRegistry({ models: [], modelsDirs, demoPath: null, clock: new FakeClock(), modelFiles });
  return { root, registry };
}

describe("a chat template of a model file", () => {
  test("reaches the engine, and what the model can do hangs on it", () => {
    const { registry } = makeRegistry({
      "files/a.yaml": `model_id: inline\npath: m\nsettings:\n  chat_template: "${TOOLS}"\n`,
      "files/b.yaml": "model_id: own\npath: m\nsettings: {chat_template_file: t/think.jinja}\n",
      "files/t/think.jinja": "{{ messages[0].content }}<think>",
      "files/c.yaml": "model_id: plain\npath: m\n",
      "files/d.yaml": `model_id: taken\npath: m\ncapabilities: {tools: false}\nsettings:\n  chat_template: "${TOOLS}"\n`,
    });
    const [inline, own, plain, taken] = ["inline", "own", "plain", "taken"].map((id) => registry.resolve(id));
    expect(inline).toMatchObject({
      hasChatTemplate: true,
      capabilities: { chat: true, tools: true, reasoning: false },
      settings: { engine: { chatTemplate: TOOLS } },
      described: { chatTemplate: TOOLS, withoutEffect: [], taken: [] },
    });
    expect(own).toMatchObject({
      capabilities: { tools: false, reasoning: true },
      settings: { engine: { chatTemplate: "{{ messages[0].content }}<think>" } },
    });
    expect(plain).toMatchObject({
      capabilities: { tools: false, reasoning: false },
      described: { chatTemplate: null },
    });
    expect(taken).toMatchObject({ capabilities: { tools: false }, described: { taken: ["tools"] } });
    const keys = new Set([inline, own, plain].map((entry) => entry?.engineKey));
    expect(keys.size).toBe(3);
  });

  test("is read again when its file has changed", () => {
    const { root, registry } = makeRegistry({
      "files/a.yaml": "model_id: a\npath: m\nsettings: {chat_template_file: a.jinja}\n",
      "files/a.jinja": "one",
    });
    const read = () => registry.resolve("a").settings.engine.chatTemplate;
    expect(read()).toBe("one");
    writeFileSync(join(root, "files/a.jinja"), "another");
    registry.rescan();
    expect(read()).toBe("another");
    rmSync(join(root, "files/a.jinja"));
    registry.rescan();
    expect(registry.resolve("a").error?.message).toContain(
      "a.yaml, line 3: `settings.chat_template_file` can't be read",
    );
    writeFileSync(join(root, "files/a.jinja"), "third");
    registry.rescan();
    expect(registry.resolve("a").error).toBeNull();
    expect(read()).toBe("third");
  });

  test("is without effect where nobody chats", () => {
    const { registry } = makeRegistry({
      "files/a.yaml": "model_id: a\npath: e\nsettings: {chat_template: x}\n",
      "files/b.yaml": "model_id: b\npath: e\nsettings: {chat_template_file: x.jinja}\n",
      "files/x.jinja": "x",
    });
    expect(registry.resolve("a").described).toMatchObject({
      withoutEffect: ["settings.chat_template"],
      chatTemplate: null,
    });
    expect(registry.resolve("b").described?.withoutEffect).toEqual(["settings.chat_template_file"]);
    expect(registry.resolve("a").capabilities.chat).toBe(false);
  });

  test.each([
    ["chat_template_file: gone.jinja", /line 3: `settings\.chat_template_file` can't be read: ENOENT/],
    ["chat_template_file: .", /which is not a regular file/],
    ["chat_template_file: large.jinja", /leads to 262145 bytes; at most 262144/],
    ["chat_template_file: empty.jinja", /which must hold text/],
    ['chat_template: "  "', /line 3: `settings\.chat_template` is wrong: must hold text/],
    ["chat_template: a, chat_template_file: b", /line 3: .* two ways to say one thing/],
  ])("is refused with the line: %s", (settings, message) => {
    const { registry } = makeRegistry({
      "files/a.yaml": `model_id: a\npath: m\nsettings: {${settings}}\n`,
      "files/large.jinja": "x".repeat(262_145),
      "files/empty.jinja": " \n",
    });
    expect(registry.resolve("a").error).toMatchObject({ code: "model_damaged" });
    expect(registry.resolve("a").error?.message).toMatch(message);
  });
});
