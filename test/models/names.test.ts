// Names beside ids: of the configuration, copied ones, and words that ask for a capability; and what may be deleted.

import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { readAliases } from "../../src/models/alias.ts";
import { readManifest } from "../../src/models/manifest.ts";
import { ModelRegistry, type RegistryOptions } from "../../src/models/registry.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { smallModel, stringEntry, u32Entry } from "../support/raw-gguf.ts";

const TEMPLATE = "tokenizer.chat_template";
const plain = smallModel([stringEntry(TEMPLATE, "{{ messages }}")]);
const agent = smallModel([
  stringEntry(TEMPLATE, "{% if tools %}{% endif %}{% if enable_thinking %}<think>{% endif %}"),
]);
const encoder = smallModel([], "bert");
const reranker = smallModel([u32Entry("bert.pooling_type", 4)], "bert");

function folderWith(files: Record<string, Uint8Array>): string {
  const root = mkdtempSync(join(tmpdir(), "mlo-names-"));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  return root;
}

/** A store without a file. */
const makeCopies = () => {
  const names = new Map<string, string>();
  return {
    entries: () => names,
    set: (alias: string, model: string) => void names.set(alias, model),
    delete: (alias: string) => names.delete(alias),
  };
};

function registryOf(files: Record<string, Uint8Array>, options: Partial<RegistryOptions> = {}) {
  const root = folderWith(files);
  const base = { models: [], modelsDirs: [root], demoPath: null, clock: new FakeClock(), copies: makeCopies() };
  return { root, registry: new ModelRegistry({ ...base, ownFolder: root, ...options }) };
}

function codeOf(run: () => unknown): string {
  try {
    run();
    return "done";
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown.code;
    throw thrown;
  }
}

describe("capabilities", () => {
  const of = (content: Uint8Array) => readManifest([join(folderWith({ "m.gguf": content }), "m.gguf")]).manifest;

  test("tools and reasoning are what the template speaks of", () => {
    expect(of(plain).capabilities).toMatchObject({ chat: true, tools: false, reasoning: false });
    expect(of(agent).capabilities).toMatchObject({ chat: true, tools: true, reasoning: true, infill: false });
    expect(of(encoder).capabilities).toMatchObject({ chat: false, tools: false, embedding: true, rerank: false });
    expect(of(reranker).capabilities).toMatchObject({ embedding: false, rerank: true });
  });

  test("infill is what the header names tokens for", () => {
    const keys = [u32Entry("tokenizer.ggml.fim_pre_token_id", 1), u32Entry("tokenizer.ggml.fim_suf_token_id", 2)];
    expect(of(smallModel(keys)).capabilities.infill).toBe(true);
    expect(of(smallModel(keys.slice(1))).capabilities.infill).toBe(false);
  });
});

describe("auto", () => {
  const files = { "a.gguf": plain, "b.gguf": agent, "c.gguf": encoder, "d.gguf": reranker };

  test.each([
    ["auto", "a"],
    ["auto:chat", "a"],
    ["auto:tools", "b"],
    ["auto:tools,reasoning", "b"],
    ["auto:embedding", "c"],
    ["auto:rerank", "d"],
  ])("%s is %s", (name, id) => {
    expect(registryOf(files).registry.resolve(name).id).toBe(id);
  });

  test("the default model comes first where it can do it; a chat model embeds where nothing else does", () => {
    const { root, registry } = registryOf({ "a.gguf": agent, "b.gguf": agent });
    expect(registry.resolve("auto:embedding").id).toBe("a");
    const named = registryOf({}, { models: [join(root, "b.gguf")], modelsDirs: [root] }).registry;
    expect(named.resolve("auto:tools").id).toBe("b");
  });

  test("what nobody can do is 404, what nobody knows 400 with what there is", () => {
    const { registry } = registryOf({ "a.gguf": plain });
    expect(codeOf(() => registry.resolve("auto:vision"))).toBe("model_not_found");
    expect(codeOf(() => registry.resolve("auto:flight"))).toBe("invalid_request");
    expect(codeOf(() => registry.resolve("auto:"))).toBe("invalid_request");
  });
});

describe("aliases of the configuration", () => {
  const aliases = readAliases(["gpt-4o=a", "vectors=auto:embedding", "any=default", "gone=nope", "b=a", "x=a=1"]);
  const { registry } = registryOf({ "a.gguf": plain, "b.gguf": encoder }, { aliases });

  test("stand for a model, a capability or the default, and are listed", () => {
    expect(registry.resolve("gpt-4o").id).toBe("a");
    expect(registry.resolve("GPT-4o").id).toBe("a");
    expect(registry.resolve("vectors").id).toBe("b");
    expect(registry.resolve("any").id).toBe("a");
    expect(registry.resolve("a").aliases).toContain("gpt-4o");
    expect(registry.resolve("a").givenNames).toEqual(["gpt-4o", "any"]);
  });

  test.each(["default", "auto-select", "auto", "auto:tools"])("can't be %s, which means something", (name) => {
    expect(codeOf(() => readAliases([`${name}=a`]))).toBe("invalid_request");
  });

  test("never hide a model's id", () => {
    expect(registry.resolve("b").id).toBe("b");
  });

  test("of a model that is not there say so, and a wrong name gets near ones", () => {
    expect(() => registry.resolve("gone")).toThrow('the name "gone" stands for the model "nope", which does not exist');
    expect(codeOf(() => registry.resolve("x"))).toBe("model_not_found");
    try {
      registry.resolve("gpt4o");
    } catch (thrown) {
      expect((thrown as AppError).hint).toStartWith("Did you mean gpt-4o?");
    }
    expect(codeOf(() => registry.resolve("gpt4o"))).toBe("model_not_found");
  });
});

describe("copies", () => {
  test("are names until they are deleted; of a copy it is the model that is named", () => {
    const { registry } = registryOf({ "a.gguf": plain });
    registry.addAlias("a", "mine");
    registry.addAlias("mine", "mine2");
    expect([registry.resolve("mine").id, registry.resolve("mine2").id]).toEqual(["a", "a"]);
    expect(registry.remove("mine")).toEqual({ kind: "name", path: null });
    expect(codeOf(() => registry.resolve("mine"))).toBe("model_not_found");
    expect(registry.resolve("mine2").id).toBe("a");
  });

  test("may be given to another model; other names may not", () => {
    const { registry } = registryOf({ "a.gguf": plain, "b.gguf": plain });
    registry.addAlias("a", "mine");
    registry.addAlias("b", "mine");
    expect(registry.resolve("mine").id).toBe("b");
    for (const taken of ["a", "A", "b.gguf", "default", "auto", "auto:tools", "auto:x"]) {
      expect(codeOf(() => registry.addAlias("b", taken))).toBe("invalid_request");
    }
    for (const wrong of ["", "a b", "a=b", "x\n", "x".repeat(201)]) {
      expect(codeOf(() => registry.addAlias("b", wrong))).toBe("invalid_request");
    }
    expect(codeOf(() => registry.addAlias("nope", "other"))).toBe("model_not_found");
  });
});

describe("deleting a model", () => {
  test("takes its file in the server's own folder", () => {
    const { root, registry } = registryOf({ "a.gguf": plain, "deep/b.gguf": plain });
    expect(registry.remove("b")).toEqual({ kind: "files", path: join(root, "deep/b.gguf") });
    expect(existsSync(join(root, "deep/b.gguf"))).toBe(false);
    expect(registry.list().map(({ id }) => id)).toEqual(["a"]);
    expect(codeOf(() => registry.remove("b"))).toBe("model_not_found");
  });

  test("leaves what is elsewhere, also behind a link, and what was named at the start", () => {
    const elsewhere = folderWith({ "far.gguf": plain, "sub/near.gguf": plain });
    const { root, registry } = registryOf({ "a.gguf": plain }, {});
    symlinkSync(join(elsewhere, "sub"), join(root, "linked"));
    registry.rescan();
    expect(codeOf(() => registry.remove("near"))).toBe("forbidden");
    expect(existsSync(join(elsewhere, "sub/near.gguf"))).toBe(true);
    const other = registryOf({}, { modelsDirs: [elsewhere] }).registry;
    expect(codeOf(() => other.remove("far"))).toBe("forbidden");
    const named = registryOf({}, { models: [join(root, "a.gguf")], modelsDirs: [root], ownFolder: root }).registry;
    expect(codeOf(() => named.remove("a"))).toBe("forbidden");
    expect(existsSync(join(root, "a.gguf"))).toBe(true);
    const homeless = new ModelRegistry({ models: [], modelsDirs: [root], demoPath: null, clock: new FakeClock() });
    expect(codeOf(() => homeless.remove("a"))).toBe("forbidden");
    expect(codeOf(() => homeless.addAlias("a", "b"))).toBe("invalid_request");
  });

  test("of a link takes the link alone", () => {
    const elsewhere = folderWith({ "far.gguf": plain });
    const { root, registry } = registryOf({});
    symlinkSync(join(elsewhere, "far.gguf"), join(root, "link.gguf"));
    registry.rescan();
    registry.remove("link");
    expect([existsSync(join(root, "link.gguf")), existsSync(join(elsewhere, "far.gguf"))]).toEqual([false, true]);
  });

  test("wants its id: another name of it could be meant to go alone", () => {
    const aliases = readAliases(["gpt-4o=a"]);
    const { root, registry } = registryOf({ "a.gguf": plain }, { aliases });
    for (const name of ["gpt-4o", "a.gguf", "A", "default", "auto"]) {
      expect(codeOf(() => registry.remove(name))).toBe("forbidden");
    }
    expect(existsSync(join(root, "a.gguf"))).toBe(true);
  });
});
