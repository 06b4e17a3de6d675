// Discovery and the registry, on folders that each test makes.

import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createLogger } from "../../src/lib/log.ts";
import { discoverModels } from "../../src/models/discover.ts";
import { assertServable } from "../../src/models/entry.ts";
import { ModelRegistry, type RegistryOptions } from "../../src/models/registry.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { smallModel } from "../support/raw-gguf.ts";

const chat = smallModel();
const encoder = smallModel([], "bert");

/** A new folder with these files in it. */
function folderWith(files: Record<string, Uint8Array | string>): string {
  const root = mkdtempSync(join(tmpdir(), "mlo-models-"));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  return root;
}

function registryOf(options: Partial<RegistryOptions>): ModelRegistry {
  return new ModelRegistry({ models: [], modelsDirs: [], demoPath: null, clock: new FakeClock(), ...options });
}

const idsOf = (registry: ModelRegistry): string[] => registry.list().map((entry) => entry.id);

function failure(run: () => unknown): AppError {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}

describe("discovery", () => {
  test("searches folders, not hidden ones, GGUF files only", () => {
    const root = folderWith({
      "b.gguf": chat,
      "a/c.GGUF": chat,
      ".hidden/d.gguf": chat,
      ".e.gguf": chat,
      "f.txt": "",
      "g.gguf.part": "",
    });
    expect(idsOf(registryOf({ modelsDirs: [root] }))).toEqual(["c", "b"]);
  });

  test("a split model is one entry, whichever part is named", () => {
    const parts = { "m-00001-of-00002.gguf": chat, "m-00002-of-00002.gguf": chat };
    const root = folderWith(parts);
    const { models } = discoverModels({ models: [join(root, "m-00002-of-00002.gguf")], modelsDirs: [root] });
    expect(models).toHaveLength(1);
    expect(models[0]).toMatchObject({ name: "m", sizeBytes: chat.byteLength * 2, explicit: true, error: null });
    expect(models[0]?.files.map((file) => file.slice(root.length + 1))).toEqual(Object.keys(parts));
  });

  test("missing parts are named", () => {
    const root = folderWith({ "m-00001-of-00003.gguf": chat, "m-00003-of-00003.gguf": chat });
    const [entry] = registryOf({ modelsDirs: [root] }).list();
    expect(entry).toMatchObject({ id: "m", error: { code: "model_damaged" } });
    expect(entry?.error?.message).toContain("m-00002-of-00003.gguf");
  });

  test("loops and second ways to a file", () => {
    const root = folderWith({ "a/m.gguf": chat });
    symlinkSync(root, join(root, "a", "loop"));
    symlinkSync(join(root, "a", "m.gguf"), join(root, "other.gguf"));
    const registry = registryOf({ modelsDirs: [root, join(root, "a")] });
    expect(idsOf(registry)).toEqual(["m"]);
    expect(registry.resolve("other").id).toBe("m");
  });

  test("broken links, folders named like files and pipes have errors and do not block", () => {
    const root = folderWith({ "d.gguf/inner.gguf": chat });
    symlinkSync(join(root, "nowhere"), join(root, "link.gguf"));
    execFileSync("mkfifo", [join(root, "pipe.gguf")]);
    const entries = registryOf({ modelsDirs: [root] }).list();
    expect(entries.map((entry) => [entry.id, entry.error?.code ?? null])).toEqual([
      ["inner", null],
      ["link", "model_not_found"],
      ["pipe", "format_unsupported"],
    ]);
  });

  test("a depth without end is left", () => {
    const root = folderWith({ "1/2/3/4/5/6/in.gguf": chat, "1/2/3/4/5/6/7/out.gguf": chat });
    expect(idsOf(registryOf({ modelsDirs: [root] }))).toEqual(["in"]);
  });

  test("a models folder that is absent is fine, one that is a file is a warning, once", () => {
    const root = folderWith({ file: "" });
    const lines: string[] = [];
    const logger = createLogger({ level: "warn", format: "text", write: (line) => void lines.push(line) });
    const registry = registryOf({ modelsDirs: [join(root, "none"), join(root, "file")], logger });
    registry.rescan();
    registry.rescan();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("is not a folder");
  });
});

describe("names", () => {
  test("equal file names get their folder, and stay reachable by path", () => {
    const root = folderWith({ "a/m.gguf": chat, "b/m.gguf": chat, "b/c/m.gguf": chat });
    const registry = registryOf({ modelsDirs: [root] });
    expect(idsOf(registry)).toEqual(["m", "b/c/m", "b/m"]);
    expect(registry.resolve("a/m").path).toBe(join(root, "a", "m.gguf"));
    expect(registry.resolve("b/m").path).toBe(join(root, "b", "m.gguf"));
  });

  test("file names, parts' names and another case resolve", () => {
    const root = folderWith({ "Qwen-00001-of-00001.gguf": chat });
    const registry = registryOf({ modelsDirs: [root] });
    for (const name of ["Qwen", "Qwen-00001-of-00001", "Qwen-00001-of-00001.gguf", "qwen"]) {
      expect(registry.resolve(name).id).toBe("Qwen");
    }
  });

  // macOS folders take both for one file.
  test.skipIf(process.platform === "darwin")(
    "two models that differ by case only are told apart, and never guessed",
    () => {
      const registry = registryOf({ modelsDirs: [folderWith({ "Aa.gguf": chat, "aA.gguf": chat })] });
      expect(registry.resolve("aA").id).toBe("aA");
      expect(failure(() => registry.resolve("aa")).code).toBe("model_not_found");
    },
  );

  test("a model named default is reached by its file name", () => {
    const registry = registryOf({ modelsDirs: [folderWith({ "a.gguf": chat, "default.gguf": chat })] });
    expect(registry.resolve("default").id).toBe("a");
    expect(registry.resolve("default.gguf").id).toBe("default");
  });

  test("an unknown name suggests near ones", () => {
    const registry = registryOf({ modelsDirs: [folderWith({ "gemma-3.gguf": chat })] });
    const error = failure(() => registry.resolve("gemma-4"));
    expect(error.status).toBe(404);
    expect(error.hint).toContain("gemma-3");
  });
});

describe("the default", () => {
  test("is the first --model, even a broken one, whose error is the answer", () => {
    const root = folderWith({ "a.gguf": chat, "b.gguf": chat });
    const first = join(root, "b.gguf");
    for (const name of [undefined, "", "default", "auto-select"]) {
      expect(registryOf({ models: [first], modelsDirs: [root] }).resolve(name).id).toBe("b");
    }
    const broken = registryOf({ models: [join(root, "none.gguf")], modelsDirs: [root] }).resolve(undefined);
    expect(broken.id).toBe("none");
    expect(failure(() => assertServable(broken)).message).toContain("does not exist");
  });

  test("else the first that generates, else any that works", () => {
    const both = folderWith({ "a.gguf": encoder, "b.gguf": "junk", "c.gguf": chat });
    expect(registryOf({ modelsDirs: [both] }).resolve(undefined).id).toBe("c");
    const one = folderWith({ "a.gguf": encoder, "b.gguf": "junk" });
    expect(registryOf({ modelsDirs: [one] }).resolve(undefined).id).toBe("a");
    expect(failure(() => registryOf({}).resolve(undefined)).message).toContain("no model");
  });
});

describe("the demo", () => {
  const demoPath = join(folderWith({ "x.gguf": chat }), "x.gguf");

  test("is there when nothing else can be served", () => {
    const [entry, ...others] = registryOf({ demoPath }).list();
    expect(others).toEqual([]);
    expect(entry).toMatchObject({ id: "demo", demo: true, aliases: [], path: demoPath, error: null });
    const broken = registryOf({ demoPath, modelsDirs: [folderWith({ "b.gguf": "junk" })] });
    expect(idsOf(broken)).toEqual(["b", "demo"]);
    expect(broken.resolve(undefined).id).toBe("demo");
  });

  test("is gone when there is another model", () => {
    const root = folderWith({});
    const clock = new FakeClock();
    const registry = registryOf({ demoPath, modelsDirs: [root], clock });
    expect(idsOf(registry)).toEqual(["demo"]);
    writeFileSync(join(root, "real.gguf"), chat);
    clock.advance(5_000);
    expect(idsOf(registry)).toEqual(["real"]);
    expect(failure(() => registry.resolve("demo")).code).toBe("model_not_found");
  });
});

describe("a change on disk", () => {
  test("appears on a miss, but not at every miss", () => {
    const root = folderWith({ "a.gguf": chat });
    const clock = new FakeClock();
    const registry = registryOf({ modelsDirs: [root], clock });
    registry.list();
    writeFileSync(join(root, "b.gguf"), chat);
    expect(failure(() => registry.resolve("b")).code).toBe("model_not_found");
    clock.advance(1_000);
    expect(registry.resolve("b").id).toBe("b");
  });

  test("appears in listings after a few seconds", () => {
    const root = folderWith({ "a.gguf": chat });
    const clock = new FakeClock();
    const registry = registryOf({ modelsDirs: [root], clock });
    registry.list();
    rmSync(join(root, "a.gguf"));
    expect(idsOf(registry)).toEqual(["a"]);
    clock.advance(5_000);
    expect(idsOf(registry)).toEqual([]);
  });

  test("a file that is replaced is read again", () => {
    const root = folderWith({ "a.gguf": "junk" });
    const clock = new FakeClock();
    const registry = registryOf({ modelsDirs: [root], clock });
    expect(registry.resolve("a").error?.code).toBe("format_unsupported");
    writeFileSync(join(root, "a.gguf"), chat);
    clock.advance(5_000);
    expect(registry.resolve("a")).toMatchObject({ error: null, architecture: "llama", parameterCount: 64 });
  });
});

test("a default that somebody chose holds for as long as it is there, also for names that mean the default", () => {
  const root = folderWith({ "a.gguf": chat, "b.gguf": chat });
  const clock = new FakeClock();
  const registry = registryOf({ modelsDirs: [root], clock, aliases: new Map([["mine", "default"]]) });
  const defaults = () => [registry.defaultEntry()?.id, registry.resolve(undefined).id, registry.resolve("mine").id];
  expect(defaults()).toEqual(["a", "a", "a"]);
  registry.makeDefault("b");
  expect(defaults()).toEqual(["b", "b", "b"]);
  expect(registry.firstEntry()?.id).toBe("a");
  rmSync(join(root, "b.gguf"));
  clock.advance(60_000);
  expect(defaults()).toEqual(["a", "a", "a"]);
});
