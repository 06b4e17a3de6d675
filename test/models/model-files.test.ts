// Model files: what they say, what is wrong with them in which line, what they lead to, and that they are watched.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { SERVE_OPTIONS } from "../../src/config.ts";
import { createLogger } from "../../src/lib/log.ts";
import { FolderWatch } from "../../src/models/folder-watch.ts";
import { ModelFileError, parseModelFile } from "../../src/models/model-file/parse.ts";
import { SETTINGS } from "../../src/models/model-file/schema.ts";
import { ModelRegistry, type RegistryOptions } from "../../src/models/registry.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { smallModel } from "../support/raw-gguf.ts";

const chat = smallModel();
const encoder = smallModel([], "bert");
const roots: string[] = [];
afterAll(() => {
  for (const root of roots) rmSync(root, { recursive: true, force: true });
});

function folderWith(files: Record<string, Uint8Array | string>): string {
  const root = mkdtempSync(join(tmpdir(), "mlo-files-"));
  roots.push(root);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  return root;
}

/** Models in `models/`, model files in `files/`. */
function registryOf(root: string, options: Partial<RegistryOptions> = {}): ModelRegistry {
  const modelFiles = { folder: join(root, "files"), env: { HOME: root } };
  const modelsDirs = [join(root, "models")];
  return new ModelRegistry({ models: [], modelsDirs, demoPath: null, clock: new FakeClock(), modelFiles, ...options });
}

function parseFault(name: string, text: string): { message: string; hint: string } {
  try {
    parseModelFile(`/files/${name}`, text, {});
  } catch (thrown) {
    if (thrown instanceof ModelFileError) return { message: thrown.body.message, hint: thrown.body.hint ?? "" };
    throw thrown;
  }
  throw new Error("it was taken");
}

describe("a model file", () => {
  test("says what is wrong, where, and what to do", () => {
    const long = `model_id: a\npath: b\n${"x: &x [1]\n".repeat(1)}`;
    const cases: [name: string, text: string, message: RegExp, hint: RegExp][] = [
      [
        "a.yaml",
        "model_id: a\npath: m.gguf\nsettings:\n  ctx: many\n",
        /a\.yaml, line 4: `settings\.ctx` is wrong/,
        /docs\/models\.md/,
      ],
      [
        "a.yaml",
        "model_id: a\npath: m.gguf\nsettings:\n  ctxt: 3\n",
        /line 4: `settings\.ctxt` is no key/,
        /Did you mean ctx\?/,
      ],
      ["a.json", '{"model_id": "a",\n "pfad": "m.gguf", "path": "x"}', /line 2: `pfad` is no key/, /path/],
      ["a.yaml", "path: m.gguf\n", /`model_id` is wrong/, /Correct the file/],
      ["a.yaml", "model_id: default\npath: m.gguf\n", /line 1: `model_id` asks for a model by itself/, /./],
      ["a.yaml", "model_id: a b\npath: m.gguf\n", /line 1: `model_id` is wrong.*spaces/, /./],
      ["a.yaml", "model_id: a\npath: b\nb: [1,\nc: 2\n", /line \d: is no YAML/, /./],
      ["a.json", '{"model_id": "a",\n', /is no JSON/, /./],
      ["a.yaml", "- a\n", /must hold keys and values/, /./],
      ["a.yaml", "", /must hold keys and values/, /./],
      ["a.yaml", long, /`x` is no key/, /./],
      ["a.yaml", "model_id: a\npath: m\nsampling:\n  temperature: hot\n", /line 4: `sampling\.temperature`/, /./],
      ["a.yaml", "model_id: a\npath: m\ncapabilities: [chat, dance]\n", /line 3: `capabilities/, /./],
      ["a.yaml", "model_id: a\npath: m\nsettings: {parallel: 200, retained: 100}\n", /line 3: .*255 together/, /./],
      ["a.yaml", "model_id: a\npath: m\nsettings: {ubatch_size: 64, batch_size: 32}\n", /line 3: .*batch_size/, /./],
    ];
    for (const [name, text, message, hint] of cases) {
      const fault = parseFault(name, text);
      expect(fault.message, text).toMatch(message);
      expect(fault.hint, text).toMatch(hint);
    }
  });

  test("can't make much of little", () => {
    const bomb = Array.from({ length: 30 }, (_, i) => `  a${i}: &a${i} [${i === 0 ? "x" : `*a${i - 1}, *a${i - 1}`}]`);
    expect(parseFault("a.yaml", `model_id: a\npath: m\nrequirements:\n${bomb.join("\n")}`).message).toMatch(
      /values|aliasing/,
    );
    expect(parseFault("a.yaml", "model_id: a\npath: m\nrequirements: &x\n  y: *x\n").message).toContain("levels deep");
    expect(parseFault("a.yaml", `a: ${"[".repeat(30_000)}`).message).toMatch(/deeply|no YAML/);
    expect(parseFault("a.json", `{"a": ${"[".repeat(30_000)}`).message).toMatch(/deeply|no JSON/);
  });

  test("has the ranges of serve's settings", () => {
    const shape: Record<string, { safeParse(value: unknown): { success: boolean } }> = SETTINGS.shape;
    const options = new Map(Object.values(SERVE_OPTIONS).map((option) => [option.name, option]));
    const values = [
      -2, -1, 0, 0.5, 1, 2, 64, 65, 250, 251, 255, 256, 512, 513, 60_000, 60_001, 65_536, 65_537, 86_400, 86_401,
    ];
    let compared = 0;
    for (const [name, schema] of Object.entries(shape)) {
      const option = options.get(name);
      if (option === undefined || option.kind === "list" || option.placeholder === "FILE") continue;
      for (const value of [
        ...values,
        2 ** 31 - 1,
        2 ** 31,
        true,
        "on",
        "off",
        "auto",
        "mean",
        "mtp",
        "q8_0",
        "nonsense",
      ]) {
        // A switch was once the setting that is a choice now; model files are newer.
        if (name === "speculate" && typeof value !== "string") continue;
        if (name === "speculate" && value === "on") continue;
        expect([name, value, schema.safeParse(value).success]).toEqual([
          name,
          value,
          option.schema.safeParse(value).success,
        ]);
        compared += 1;
      }
    }
    expect(compared).toBeGreaterThan(300);
  });
});

describe("the registry", () => {
  test("lists a described file by its model file, with its own names besides", () => {
    const root = folderWith({
      "models/plain-Q4.gguf": chat,
      "files/nice.yaml": [
        "model_id: nice",
        "display_name: A nice one",
        "model_type: llm",
        "path: ../models/plain-Q4.gguf",
        "framework: llama.cpp",
        "capabilities: {tools: true, vision: true}",
        "settings: {ctx: 128, threads: 1, chat_template: x, lora: a.gguf=0.5}",
        "sampling: {temperature: 0, top_p: 0.5, max_tokens: 7}",
        "requirements: {memory_gb: 8}",
      ].join("\n"),
    });
    const registry = registryOf(root);
    const [entry] = registry.list();
    expect(registry.list()).toHaveLength(1);
    expect(entry).toMatchObject({
      id: "nice",
      path: join(root, "models/plain-Q4.gguf"),
      described: {
        displayName: "A nice one",
        modelType: "llm",
        withoutEffect: ["requirements", "settings.chat_template", "capabilities.vision"],
        content: { requirements: { memory_gb: 8 } },
      },
      settings: {
        engine: { ctx: 128, threads: 1, lora: [join(root, "files/a.gguf=0.5")] },
        sampling: { temperature: 0, topP: 0.5 },
        maxTokens: 7,
      },
      capabilities: { tools: true, chat: true, vision: false },
      error: null,
    });
    expect(registry.resolve("plain-Q4")).toBe(entry as never);
  });

  test("capabilities: a list takes the others, and what a file can't do is named", () => {
    const root = folderWith({
      "models/m.gguf": chat,
      "models/e.gguf": encoder,
      "files/a.yaml": "model_id: vectors\npath: m\ncapabilities: [embedding]\n",
      "files/b.yaml": "model_id: talker\npath: e\ncapabilities: {chat: true, embedding: false}\n",
    });
    const registry = registryOf(root);
    expect(registry.resolve("vectors").capabilities).toMatchObject({ embedding: true, chat: false, completion: false });
    expect(registry.resolve("vectors").described?.taken).toEqual(["chat", "completion"]);
    expect(registry.resolve("talker")).toMatchObject({
      capabilities: { chat: false, embedding: false },
      embeddingPooling: null,
      described: { withoutEffect: ["capabilities.chat"], taken: ["embedding"] },
    });
  });

  test("two may describe one file, and engines are shared where the settings are the same", () => {
    const root = folderWith({
      "models/m.gguf": chat,
      "files/a.yaml": "model_id: long\npath: m\nsettings: {ctx: 64}\n",
      "files/b.yaml": "model_id: short\npath: m\nsettings: {ctx: 32}\n",
      "files/c.yaml": "model_id: cold\npath: m\nsettings: {ctx: 64}\nsampling: {temperature: 0}\n",
    });
    const registry = registryOf(root);
    expect(registry.list().map(({ id }) => id)).toEqual(["long", "short", "cold"]);
    const [long, short, cold] = ["long", "short", "cold"].map((id) => registry.resolve(id));
    expect(long?.engineKey).toBe(cold?.engineKey as string);
    expect(long?.engineKey).not.toBe(short?.engineKey as string);
    expect(registry.resolve("m").id).toBe("long");
  });

  test("a wrong one hides no other, is warned of once, and tells who asks for it", () => {
    const lines: string[] = [];
    const logger = createLogger({ level: "warn", format: "text", write: (line) => void lines.push(line) });
    const root = folderWith({
      "models/m.gguf": chat,
      "files/a.yaml": "model_id: broken\npath: m.gguf\nsettings: {ctx: x}\n",
      "files/b.yaml": "model_id: gone\npath: gone.gguf\n",
      "files/c.yaml": "model_id: good\npath: m\n",
      "files/d.yaml": "model_id: GOOD\npath: m\n",
      "files/e.json": "{",
      "files/f.yaml": `model_id: large\npath: m\ndescription: ${"x".repeat(70_000)}\n`,
      "files/notes.txt": "no model file",
      "files/.hidden.yaml": "x",
    });
    const registry = registryOf(root, { logger });
    registry.rescan();
    registry.rescan();
    const errors = Object.fromEntries(registry.list().map(({ id, error }) => [id, error?.message ?? null]));
    expect(Object.keys(errors).sort()).toEqual(["GOOD", "broken", "e", "f", "gone", "good"]);
    expect(errors.good).toBeNull();
    expect(errors.broken).toContain("a.yaml, line 3: `settings.ctx`");
    expect(errors.gone).toContain("gone.gguf");
    expect(errors.GOOD).toContain("is that of c.yaml already");
    expect(errors.f).toContain("at most 65536");
    expect(lines.filter((line) => line.includes("a.yaml"))).toHaveLength(1);
    expect(registry.resolve("broken").error?.code).toBe("model_damaged");
  });

  test("paths: relative, by ~, by links, and names of models, of the Hub's cache too", () => {
    const snapshot = "hub/models--owner--repo/snapshots/abc/m-Q4_K_M.gguf";
    const root = folderWith({
      "models/m.gguf": chat,
      [snapshot]: encoder,
      "files/own.gguf": chat,
      "files/a.yaml": "model_id: beside\npath: ./own.gguf\n",
      "files/b.yaml": "model_id: home\npath: ~/models/m.gguf\n",
      "files/c.yaml": "model_id: hub\npath: owner/repo:Q4_K_M\n",
      "files/d.yaml": "model_id: repo\npath: owner/repo\n",
      "files/e.yaml": "model_id: away\npath: owner/other:Q8_0\n",
      "files/f.yaml": "model_id: folder\npath: ../models\n",
    });
    symlinkSync(join(root, "files/own.gguf"), join(root, "files/link.gguf"));
    writeFileSync(join(root, "files/g.yaml"), "model_id: linked\npath: link.gguf\n");
    const registry = registryOf(root, { places: [{ kind: "hugging-face", folder: join(root, "hub") }] });
    const pathOf = (id: string) => registry.resolve(id).path.slice(root.length + 1);
    expect(["beside", "home", "hub", "repo", "folder"].map(pathOf)).toEqual([
      "files/own.gguf",
      "models/m.gguf",
      snapshot,
      snapshot,
      "models/m.gguf",
    ]);
    expect(registry.resolve("linked").error).toBeNull();
    expect(registry.resolve("away").error).toMatchObject({
      code: "model_not_found",
      hint: expect.stringContaining("ml-offload pull owner/other:Q8_0"),
    });
  });

  test("its id comes before those of files, and --model stays the default model", () => {
    const root = folderWith({
      "models/b.gguf": chat,
      "models/a.gguf": chat,
      "files/a.yaml": "model_id: b\npath: a\n",
    });
    const registry = registryOf(root, { models: [join(root, "models/b.gguf")] });
    expect(registry.resolve("b").path).toBe(join(root, "models/a.gguf"));
    expect(registry.defaultEntry()).toMatchObject({ path: join(root, "models/b.gguf"), explicit: true });
    expect(registry.defaultEntry()?.id).not.toBe("b");
  });

  test("files that appear, change and go are seen", async () => {
    const root = folderWith({ "models/m.gguf": chat, "files/keep.txt": "" });
    const clock = new FakeClock();
    const watch = new FolderWatch();
    try {
      const registry = registryOf(root, { clock, watch });
      const ids = () => registry.list().map(({ id }) => id);
      expect(ids()).toEqual(["m"]);
      const path = join(root, "files/x.yaml");
      const change = async (act: () => void, wanted: string[]): Promise<void> => {
        // Again until it is noticed: Bun takes two notices of one file within a millisecond for one.
        do {
          act();
          await Bun.sleep(2);
        } while (!watch.hasChanged);
        clock.advance(1_000);
        expect(ids()).toEqual(wanted);
      };
      await change(() => writeFileSync(path, "model_id: one\npath: m\n"), ["one"]);
      await change(() => writeFileSync(path, "model_id: other-one\npath: m\n"), ["other-one"]);
      await change(() => rmSync(path, { force: true }), ["m"]);
    } finally {
      watch.close();
    }
  });
});
