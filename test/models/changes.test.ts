// Renames, pins, and removals of model files: what follows a name, what stays, and what is nobody's to change.

import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { silentLogger } from "../../src/lib/log.ts";
import { ModelRegistry, type RegistryOptions } from "../../src/models/registry.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { encodeRecord } from "../../src/protocol/hub-name.ts";
import { NameFile } from "../../src/state/name-file.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { smallModel } from "../support/raw-gguf.ts";

const chat = smallModel();
const roots: string[] = [];
afterAll(() => {
  for (const root of roots) rmSync(root, { recursive: true, force: true });
});

/** Models in `models/`, the server's own folder; model files in `files/`. */
function registryWith(files: Record<string, Uint8Array | string>, options: Partial<RegistryOptions> = {}) {
  const root = mkdtempSync(join(tmpdir(), "mlo-changes-"));
  roots.push(root);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  const open = () =>
    new ModelRegistry({
      models: [],
      modelsDirs: [join(root, "models")],
      demoPath: null,
      ownFolder: join(root, "models"),
      modelFiles: { folder: join(root, "files"), env: {} },
      copies: new NameFile(join(root, "state/aliases.json"), "copied names", silentLogger),
      pins: new NameFile(join(root, "state/pins.json"), "pinned models", silentLogger),
      clock: new FakeClock(Date.now()),
      ...options,
    });
  return { root, registry: open(), open };
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    return thrown instanceof AppError ? thrown.code : String(thrown);
  }
  return "nothing";
}

describe("a rename", () => {
  test("moves the file and what was said of its name, and is listed at once", () => {
    const { root, registry, open } = registryWith({ "models/a.gguf": chat });
    registry.list();
    registry.addAlias("a", "mine");
    registry.pin("a", true);
    expect(registry.rename("a", "b")).toEqual({ id: "b", path: join(root, "models/a.gguf") });
    expect(readdirSync(join(root, "models"))).toEqual(["b.gguf"]);
    expect(registry.resolve("mine").id).toBe("b");
    expect(codeOf(() => registry.resolve("a"))).toBe("model_not_found");
    expect(open().resolve("mine")).toMatchObject({ id: "b", pinned: true });
  });

  test("of a split model takes all parts, and none where a name is taken", () => {
    const parts = { "models/a-00001-of-00002.gguf": chat, "models/a-00002-of-00002.gguf": chat };
    const { root, registry } = registryWith(parts);
    mkdirSync(join(root, "models/c-00002-of-00002.gguf"));
    expect(codeOf(() => registry.rename("a", "c"))).toBe("conflict");
    expect(readdirSync(join(root, "models")).filter((name) => name.startsWith("a-"))).toHaveLength(2);
    expect(registry.rename("a", "b").id).toBe("b");
    expect(
      readdirSync(join(root, "models"))
        .filter((name) => name.startsWith("b-"))
        .sort(),
    ).toEqual(["b-00001-of-00002.gguf", "b-00002-of-00002.gguf"]);
  });

  test("of a copied name leaves the file", () => {
    const { root, registry } = registryWith({ "models/a.gguf": chat });
    registry.addAlias("a", "mine");
    expect(registry.rename("mine", "yours")).toEqual({ id: "yours", path: null });
    expect(registry.resolve("yours").id).toBe("a");
    expect(codeOf(() => registry.resolve("mine"))).toBe("model_not_found");
    expect(existsSync(join(root, "models/a.gguf"))).toBe(true);
  });

  test("is refused for names that are no file's, and for models that are called so by others", () => {
    const record = { repo: "owner/repo", tag: "Q4_0", url: "https://x", revision: null, sizeBytes: 1, sha256: null };
    const { registry } = registryWith({
      "models/a.gguf": chat,
      "models/hub.gguf": chat,
      "models/.hub.gguf.pulled.json": encodeRecord(record),
      "models/d.gguf": chat,
      "files/d.yaml": "model_id: described\npath: d\n",
      "other/far.gguf": chat,
    });
    for (const name of [
      "../x",
      "a/b",
      "a\\b",
      ".x",
      "..",
      "x\0y",
      "con",
      "nul.x",
      "x.gguf",
      "x-00001-of-00002",
      "d",
      "-x",
      "",
    ]) {
      expect([name, codeOf(() => registry.rename("a", name))]).toEqual([name, "invalid_request"]);
    }
    expect(codeOf(() => registry.rename("owner/repo:Q4_0", "x"))).toBe("forbidden");
    expect(codeOf(() => registry.rename("described", "x"))).toBe("forbidden");
    expect(codeOf(() => registry.rename("a.gguf", "x"))).toBe("forbidden");
    expect(codeOf(() => registry.rename("nope", "x"))).toBe("model_not_found");
    const { root, registry: other } = registryWith({ "other/far.gguf": chat });
    const far = new ModelRegistry({
      models: [],
      modelsDirs: [join(root, "other")],
      demoPath: null,
      ownFolder: `${root}/models`,
    });
    expect(codeOf(() => far.rename("far", "x"))).toBe("forbidden");
    expect(other.list()).toEqual([]);
  });
});

describe("pins", () => {
  test("outlive the server, by any name, until they are taken back or the model goes", () => {
    const { root, registry, open } = registryWith({ "models/a.gguf": chat, "models/b.gguf": chat });
    expect(registry.pin("a.gguf", true)).toMatchObject({ id: "a", pinned: true });
    expect(
      open()
        .list()
        .map(({ pinned }) => pinned),
    ).toEqual([true, false]);
    expect(open().pin("a", false).pinned).toBe(false);
    expect(open().resolve("a").pinned).toBe(false);
    const third = open();
    third.pin("b", true);
    third.remove("b");
    writeFileSync(join(root, "models/b.gguf"), chat);
    expect(open().resolve("b").pinned).toBe(false);
    expect(codeOf(() => registry.pin("nope", true))).toBe("model_not_found");
  });
});

test("a pin is of a file: another one of the same name has none", () => {
  const { root, registry, open } = registryWith({ "models/a.gguf": chat });
  expect(registry.pin("a", true).pinned).toBe(true);
  rmSync(join(root, "models/a.gguf"));
  mkdirSync(join(root, "models/other"), { recursive: true });
  writeFileSync(join(root, "models/other/a.gguf"), chat);
  expect(open().resolve("a")).toMatchObject({ path: join(root, "models/other/a.gguf"), pinned: false });
});

test("a described model loses its model file first, then its own; a broken one goes by its name", () => {
  const { root, registry } = registryWith({
    "models/m.gguf": chat,
    "files/d.yaml": "model_id: described\npath: m\n",
    "files/broken.yaml": "model_id: [",
  });
  expect(registry.remove("described")).toEqual({ kind: "model-file", path: join(root, "models/m.gguf") });
  expect(registry.remove("broken").kind).toBe("model-file");
  expect(readdirSync(join(root, "files"))).toEqual([]);
  expect(registry.list().map(({ id }) => id)).toEqual(["m"]);
  expect(registry.remove("m").kind).toBe("files");
  expect(readdirSync(join(root, "models"))).toEqual([]);
});
