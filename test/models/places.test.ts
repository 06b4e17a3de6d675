// Where other programs keep models, each laid out as that program does it, in folders that each test makes.

import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { discoverModels } from "../../src/models/discover.ts";
import { listPlaces, type ModelPlace } from "../../src/models/places/places.ts";
import { ModelRegistry, type RegistryOptions } from "../../src/models/registry.ts";
import { encodeRecord, hubTag, isRepository, quantizationOf, recordName } from "../../src/protocol/hub-name.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { smallModel, stringEntry } from "../support/raw-gguf.ts";

const chat = smallModel();
const projector = smallModel([stringEntry("general.type", "mmproj")], "clip");

/** A new folder with these files; a value that begins with `->` is a link. */
function folderWith(files: Record<string, Uint8Array | string>): string {
  const root = mkdtempSync(join(tmpdir(), "mlo-places-"));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    if (typeof content === "string" && content.startsWith("->")) symlinkSync(content.slice(2), join(root, name));
    else writeFileSync(join(root, name), content);
  }
  return root;
}

function registryOf(kind: ModelPlace["kind"], folder: string, options: Partial<RegistryOptions> = {}): ModelRegistry {
  const places = [{ kind, folder }];
  return new ModelRegistry({ models: [], modelsDirs: [], demoPath: null, clock: new FakeClock(), places, ...options });
}

const idsOf = (registry: ModelRegistry): string[] => registry.list().map((entry) => entry.id);

describe("Hugging Face's cache", () => {
  const repo = "models--owner--some-repo";
  const blob = (name: string) => `->../../blobs/${name}`;

  test("links of snapshots are models named by repository and quantisation", () => {
    const root = folderWith({
      [`${repo}/blobs/aaa`]: chat,
      [`${repo}/blobs/bbb`]: smallModel([stringEntry("general.name", "b")]),
      [`${repo}/blobs/ccc.incomplete`]: chat.subarray(0, 100),
      [`${repo}/refs/main`]: "rev2",
      [`${repo}/snapshots/rev1/m-q4_k_m.gguf`]: blob("aaa"),
      [`${repo}/snapshots/rev2/m-q4_k_m.gguf`]: blob("aaa"),
      [`${repo}/snapshots/rev2/m-Q8_0.gguf`]: blob("bbb"),
      "datasets--owner--data/snapshots/rev/x.gguf": chat,
    });
    const registry = registryOf("hugging-face", root);
    expect(idsOf(registry)).toEqual(["owner/some-repo:Q8_0", "owner/some-repo:Q4_K_M"]);
    expect(registry.resolve("owner/some-repo:q4_k_m").id).toBe("owner/some-repo:Q4_K_M");
    expect(registry.resolve("m-Q8_0").id).toBe("owner/some-repo:Q8_0");
  });

  test("of a file the snapshot of main counts, and one that only an older one has is there", () => {
    const root = folderWith({
      [`${repo}/blobs/old`]: smallModel([stringEntry("general.name", "old")]),
      [`${repo}/blobs/new`]: chat,
      [`${repo}/blobs/other`]: smallModel([stringEntry("general.name", "other")]),
      [`${repo}/refs/main`]: "rev1\n",
      [`${repo}/snapshots/rev0/m-Q8_0.gguf`]: blob("old"),
      [`${repo}/snapshots/rev0/m-Q2_K.gguf`]: blob("other"),
      [`${repo}/snapshots/rev1/m-Q8_0.gguf`]: blob("new"),
    });
    const registry = registryOf("hugging-face", root);
    expect(idsOf(registry).sort()).toEqual(["owner/some-repo:Q2_K", "owner/some-repo:Q8_0"]);
    expect(registry.resolve("owner/some-repo:Q8_0").path).toContain("/rev1/");
  });

  test("a repository's name alone is a name of its only model", () => {
    const root = folderWith({ [`${repo}/snapshots/r/m-Q8_0.gguf`]: chat });
    expect(registryOf("hugging-face", root).resolve("owner/some-repo").id).toBe("owner/some-repo:Q8_0");
  });

  test("weights, which is how MLX models come, are listed, with the reason where they can't be served", () => {
    const root = folderWith({
      "models--mlx-community--Tiny-4bit/snapshots/r/config.json": "{}",
      "models--mlx-community--Tiny-4bit/snapshots/r/model.safetensors": "x",
      "models--sentence--vectors/snapshots/r/README.md": "x",
    });
    const [entry, ...others] = registryOf("hugging-face", root).list();
    expect(others).toEqual([]);
    expect(entry).toMatchObject({ id: "mlx-community/Tiny-4bit", error: { code: "model_damaged" } });
    expect(entry?.error?.message).toContain("9 bytes at the end of model.safetensors");
  });

  test("is where its variables say", () => {
    const at = (env: Record<string, string>) =>
      listPlaces({ HOME: "/h", ...env }, "linux").find(({ kind }) => kind === "hugging-face")?.folder;
    expect(at({})).toBe("/h/.cache/huggingface/hub");
    expect(at({ XDG_CACHE_HOME: "/c" })).toBe("/c/huggingface/hub");
    expect(at({ HF_HOME: "/hf" })).toBe("/hf/hub");
    expect(at({ HF_HOME: "/hf", HF_HUB_CACHE: "/cache" })).toBe("/cache");
    expect(at({ HF_HUB_CACHE: "relative" })).toBe("/h/.cache/huggingface/hub");
  });
});

describe("Ollama's models", () => {
  const hash = (digit: string) => digit.repeat(64);
  const layer = (kind: string, digit: string) => ({
    mediaType: `application/vnd.ollama.image.${kind}`,
    digest: `sha256:${hash(digit)}`,
    size: 1,
  });
  const manifest = (...layers: object[]) => JSON.stringify({ schemaVersion: 2, layers });

  test("are called as in Ollama, and blobs stand behind them", () => {
    const root = folderWith({
      "manifests/registry.ollama.ai/library/llama3.2/latest": manifest(layer("model", "a"), layer("template", "e")),
      "manifests/registry.ollama.ai/library/llama3.2/1b": manifest(layer("model", "b")),
      "manifests/registry.ollama.ai/somebody/tuned/v1": manifest(layer("model", "a")),
      "manifests/hf.co/owner/repo/Q8_0": manifest(layer("model", "c")),
      [`blobs/sha256-${hash("a")}`]: chat,
      [`blobs/sha256-${hash("b")}`]: smallModel([stringEntry("general.name", "b")]),
      [`blobs/sha256-${hash("c")}`]: smallModel([stringEntry("general.name", "c")]),
      [`blobs/sha256-${hash("f")}-partial`]: "x",
    });
    const registry = registryOf("ollama", root);
    expect(idsOf(registry)).toEqual(["hf.co/owner/repo:Q8_0", "llama3.2:1b", "llama3.2:latest"]);
    expect(registry.resolve("llama3.2").id).toBe("llama3.2:latest");
    // The same blob: another name of it.
    expect(registry.resolve("somebody/tuned:v1").id).toBe("llama3.2:latest");
    expect(registry.resolve("llama3.2:1b")).toMatchObject({ architecture: "llama", error: null });
  });

  test("a projector goes with its model, and a blob that is not there is told", () => {
    const root = folderWith({
      "manifests/registry.ollama.ai/library/see/latest": manifest(layer("model", "a"), layer("projector", "b")),
      "manifests/registry.ollama.ai/library/gone/latest": manifest(layer("model", "c"), layer("projector", "d")),
      [`blobs/sha256-${hash("a")}`]: chat,
      [`blobs/sha256-${hash("b")}`]: projector,
    });
    const registry = registryOf("ollama", root);
    expect(registry.resolve("see").companions).toMatchObject([{ kind: "projector", sizeBytes: projector.length }]);
    expect(registry.resolve("gone").error?.code).toBe("model_not_found");
  });

  test("manifests that are none, lie or lead elsewhere cost a warning or an entry, and nothing else", () => {
    const base = "manifests/registry.ollama.ai/library";
    const root = folderWith({
      [`${base}/cut/latest`]: '{"layers": [',
      [`${base}/huge/latest`]: "x".repeat(300_000),
      [`${base}/null/latest`]: manifest(null as unknown as object, "x" as unknown as object, { mediaType: 3 }),
      [`${base}/climbs/latest`]: manifest({
        mediaType: "application/vnd.ollama.image.model",
        digest: "sha256:../../../../etc/passwd",
      }),
      [`${base}/cloud/latest`]: manifest(),
    });
    const found = discoverModels({ models: [], modelsDirs: [], places: [{ kind: "ollama", folder: root }] });
    expect(found.warnings.filter((warning) => warning.includes("is no manifest"))).toHaveLength(2);
    expect(found.models.map(({ name, error }) => [name, error?.code])).toEqual([
      ["climbs:latest", "format_unsupported"],
      ["cloud:latest", "format_unsupported"],
      ["null:latest", "format_unsupported"],
    ]);
  });
});

describe("other places", () => {
  test("LM Studio: owner, repository, file", () => {
    const root = folderWith({
      "owner/repo-GGUF/repo-Q4_K_M.gguf": chat,
      "owner/repo-GGUF/mmproj-F16.gguf": projector,
      "mlx-community/thing/config.json": "{}",
      "mlx-community/thing/model.safetensors": "x",
      "loose.gguf": smallModel([stringEntry("general.name", "x")]),
    });
    const registry = registryOf("lm-studio", root);
    expect(idsOf(registry)).toEqual(["loose", "mlx-community/thing", "owner/repo-GGUF:Q4_K_M"]);
    expect(registry.resolve("owner/repo-GGUF").companions).toMatchObject([{ kind: "projector", name: "mmproj-F16" }]);
  });

  test("llama.cpp: the manifest's name tells where the repository's ends", () => {
    const root = folderWith({
      "manifest=ggml-org=gemma_3=latest.json": "{}",
      "ggml-org_gemma_3_gemma-Q4_K_M.gguf": chat,
      "ggml-org_gemma_3_gemma-Q4_K_M.gguf.json": "{}",
      "ggml-org_gemma_3_gemma-Q8_0.gguf.downloadInProgress": "x",
      "plain.gguf": smallModel([stringEntry("general.name", "x")]),
    });
    const registry = registryOf("llama-cache", root);
    expect(idsOf(registry)).toEqual(["ggml-org/gemma_3:Q4_K_M", "plain"]);
    expect(registry.resolve("ggml-org_gemma_3_gemma-Q4_K_M").id).toBe("ggml-org/gemma_3:Q4_K_M");
  });

  test("Jan: the folder has the name", () => {
    const root = folderWith({ "janhq/Jan-v1/model.gguf": chat, "janhq/Jan-v1/mmproj.gguf": projector });
    const registry = registryOf("jan", root);
    expect(idsOf(registry)).toEqual(["janhq/Jan-v1"]);
    expect(registry.resolve("Jan-v1").companions).toMatchObject([{ kind: "projector", name: "mmproj" }]);
  });

  test("downloads of our own: the record beside the file tells the repository", () => {
    const record = { repo: "owner/repo", tag: "Q8_0", url: "u", revision: "r", sizeBytes: 1, sha256: null };
    const root = folderWith({
      "a/m-Q8_0.gguf": chat,
      [`a/${recordName("m-Q8_0.gguf")}`]: encodeRecord(record),
      "b/n.gguf": smallModel([stringEntry("general.name", "n")]),
      [`b/${recordName("n.gguf")}`]: '{"repo": "../..", "url": "u", "sizeBytes": 1}',
    });
    expect(idsOf(registryOf("own", root))).toEqual(["owner/repo:Q8_0", "n"]);
  });

  test("a file that two programs have is one model, named by the first", () => {
    const root = folderWith({ "hub/models--o--r/snapshots/s/m-Q8_0.gguf": chat });
    const studio = folderWith({ "x/y/z-Q8_0.gguf": `->${join(root, "hub/models--o--r/snapshots/s/m-Q8_0.gguf")}` });
    const places: ModelPlace[] = [
      { kind: "hugging-face", folder: join(root, "hub") },
      { kind: "lm-studio", folder: studio },
    ];
    const registry = registryOf("jan", "/nowhere", { places });
    expect(idsOf(registry)).toEqual(["o/r:Q8_0"]);
    expect(registry.resolve("x/y:Q8_0").id).toBe("o/r:Q8_0");
  });

  test("one that can't be read costs a warning", () => {
    // A link to itself: like missing rights, but also for root.
    const root = folderWith({ hub: "->hub" });
    const kinds = ["hugging-face", "lm-studio", "ollama", "llama-cache", "jan"] as const;
    const places = kinds.map((kind) => ({ kind, folder: join(root, "hub") }));
    const found = discoverModels({ models: [], modelsDirs: [], places });
    expect(found.models).toEqual([]);
    expect(found.warnings.length).toBeGreaterThanOrEqual(kinds.length);
    for (const warning of found.warnings) expect(warning).toContain("can't be read");
  });

  test("files in the place of folders, and folders that are not there, are no trouble", () => {
    const root = folderWith({ file: "x" });
    utimesSync(join(root, "file"), 1, 1);
    for (const folder of [join(root, "file"), join(root, "file", "below"), join(root, "none")]) {
      for (const kind of ["own", "hugging-face", "lm-studio", "ollama", "llama-cache", "jan"] as const) {
        expect(discoverModels({ models: [], modelsDirs: [], places: [{ kind, folder }] }).models).toEqual([]);
      }
    }
  });
});

describe("names on the Hub", () => {
  test.each([
    ["Qwen3-0.6B-Q4_K_M.gguf", "Q4_K_M"],
    ["model-q4_k_m-00001-of-00003.gguf", "Q4_K_M"],
    ["tinyllama.Q5_0.gguf", "Q5_0"],
    ["Big-UD-IQ2_XXS.gguf", "UD-IQ2_XXS"],
    ["gpt-oss-20b-mxfp4.gguf", "MXFP4"],
    ["x-fp16.gguf", "F16"],
    ["BF16/x-BF16-00001-of-00002.gguf", "BF16"],
    ["q8_0.gguf", "Q8_0"],
    ["mmproj-F16.gguf", null],
    ["Q4U-model.gguf", null],
    ["plain.gguf", null],
  ])("%s has the quantisation %s", (path, expected) => {
    expect(quantizationOf(path)).toBe(expected);
    expect(hubTag(path)).toBe(expected ?? path.replace(/^.*\//, "").replace(/\.gguf$/, ""));
  });

  test("of repositories", () => {
    expect(["a/b", "Qwen/Qwen3-0.6B-GGUF", "a/_b"].every(isRepository)).toBe(true);
    expect(["a", "a/b/c", "../b", "a/..", "a/b--c", "a b/c", "/a/b", "a/", ""].some(isRepository)).toBe(false);
  });
});
