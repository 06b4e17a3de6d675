// Models of the Hub that are looked into before they are downloaded: the same verdicts as on the disk, of few bytes, with
// what this machine has room for; and what a server may do wrong meanwhile.

import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { detectFormat } from "../../src/formats/detect.ts";
import type { Detection } from "../../src/formats/detection.ts";
import { Hub, type HubOptions } from "../../src/hub/hub.ts";
import type { Look } from "../../src/hub/look.ts";
import type { ReadHeaders } from "../../src/hub/read-remotely.ts";
import { NotArrivedError, RemoteFiles } from "../../src/hub/remote-files.ts";
import type { RepositoryFile } from "../../src/hub/repository.ts";
import { listWeightsSet } from "../../src/hub/weights-set.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { FIXTURES } from "../formats/corpus.ts";
import { type Asked, type LoopbackHub, makeLargeModel, startLoopbackHub } from "../support/loopback-hub.ts";
import { memoryFiles } from "../support/memory-files.ts";
import { rawGguf, smallModel, stringEntry, stringsEntry, tensorEntry, u32Entry } from "../support/raw-gguf.ts";

const REPO = "owner/tiny-GGUF";
const MEGABYTE = 1024 * 1024;
const GIGABYTE = 1024 * MEGABYTE;
const detect: ReadHeaders<Detection> = (source, path) => detectFormat(path, { source });

function setUp({ endpoint }: Pick<LoopbackHub, "endpoint">, changes: Partial<HubOptions> = {}) {
  const root = mkdtempSync(join(tmpdir(), "mlo-look-"));
  const hub = new Hub({
    settings: { endpoint, token: "hf_secret", offline: false },
    root,
    largestModelBytes: () => Math.floor(0.7 * 16 * GIGABYTE),
    freeDiskBytes: async () => 100 * GIGABYTE,
    limits: { backoffMs: 1, backoffMsMax: 4, stallMs: 100 },
    ...changes,
  });
  const look = async (name = REPO, read = detect): Promise<Look<Detection>> =>
    await hub.look(name, read, new AbortController().signal);
  return { root, look };
}

async function failure(run: Promise<unknown>): Promise<AppError> {
  const thrown = await run.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(thrown instanceof AppError)) throw new Error(`no error, but ${String(thrown)}`);
  return thrown;
}

/** A model whose header has some megabytes, as vocabularies make them. */
function wordyModel(tokens: number): Uint8Array {
  const head = rawGguf({
    metadata: [
      stringEntry("general.architecture", "llama"),
      u32Entry("general.file_type", 0),
      u32Entry("llama.context_length", 4096),
      u32Entry("llama.embedding_length", 8),
      u32Entry("llama.block_count", 1),
      stringEntry("tokenizer.ggml.model", "llama"),
      stringsEntry(
        "tokenizer.ggml.tokens",
        Array.from({ length: tokens }, (_, index) => `token number ${index}`),
      ),
    ],
    tensors: [tensorEntry("output_norm.weight", [2 * MEGABYTE], 0, 0)],
  });
  return new Uint8Array(Buffer.concat([head, new Uint8Array(8 * MEGABYTE).fill(7)]));
}

const WORDY = wordyModel(120_000);

const fixtureFiles = (name: string): Record<string, Uint8Array> => {
  const fixture = FIXTURES.find((candidate) => candidate.name === name);
  if (fixture === undefined) throw new Error(`there is no fixture ${name}`);
  return Object.fromEntries(Object.entries(fixture.files).map(([path, bytes]) => [path.replace(/^\/m\//, ""), bytes]));
};

describe("what has arrived", () => {
  test("leads to the same verdicts as the whole files, for every fixture of the corpus", () => {
    for (const { name, files, sizes, path } of FIXTURES) {
      const found = detectFormat(path, { source: memoryFiles(files, sizes) });
      const sizeOf = (file: string): number => sizes?.[file] ?? files[file]?.byteLength ?? 0;
      const relative = (file: string): string => file.replace(/^\//, "");
      const remote = new RemoteFiles(
        Object.keys(files).map((file) => ({ path: relative(file), sizeBytes: sizeOf(file) })),
      );
      const bytesOf = (file: string, start: number, end: number): Uint8Array => {
        const part = new Uint8Array(end - start);
        part.set((files[file] ?? new Uint8Array()).subarray(start, end));
        return part;
      };
      let rounds = 0;
      for (; ; rounds++) {
        let result: Detection | null = null;
        try {
          result = detectFormat(relative(path), { source: remote });
        } catch (thrown) {
          if (!(thrown instanceof NotArrivedError)) throw thrown;
        }
        const need = remote.takeNeed();
        if (need === null) {
          const pick = ({ format, variant, verdict, missing, architecture, quantization, tokenizer }: Detection) =>
            JSON.stringify({ format, variant, verdict, missing, architecture, quantization, tokenizer });
          expect([name, result === null ? null : pick(result)]).toEqual([name, pick(found)]);
          break;
        }
        const [start, end] = need.range;
        expect(end).toBeGreaterThan(start);
        remote.add(need.path, start, bytesOf(`/${need.path}`, start, end));
      }
      expect([name, rounds < 2000]).toEqual([name, true]);
    }
  });
});

describe("a model of the Hub", () => {
  test("is told about from its header alone: verdict, size, and whether it fits", async () => {
    const model = WORDY;
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": model, "README.md": new Uint8Array(9) });
    const { root, look } = setUp(server);
    const { found, ...told } = await look();
    expect(found).toMatchObject({
      path: `hf:${REPO}:Q8_0`,
      format: "gguf",
      verdict: "runs",
      architecture: "llama",
      contextLength: 4096,
      files: ["tiny-Q8_0.gguf"],
      sizeBytes: model.byteLength,
      guidance: { command: `ml-offload pull ${REPO}:Q8_0`, memoryBytes: 8 * MEGABYTE },
    });
    expect(told).toEqual({
      name: `${REPO}:Q8_0`,
      repo: REPO,
      downloadBytes: model.byteLength,
      memory: { neededBytes: 8 * MEGABYTE, availableBytes: Math.floor(16 * GIGABYTE * 0.7), fits: true },
      disk: { neededBytes: model.byteLength + 256 * MEGABYTE, availableBytes: 100 * GIGABYTE, fits: true },
    });
    // The header has over three megabytes, the weights eight.
    expect(server.servedBytes).toBeLessThan(model.byteLength - 3 * MEGABYTE);
    expect(server.asked.filter(({ kind }) => kind === "storage").length).toBeLessThan(8);
    expect(readdirSync(root)).toEqual([]);
    for (const { kind, authorization } of server.asked) {
      expect([kind, authorization]).toEqual([kind, kind === "storage" ? null : "Bearer hf_secret"]);
    }
  });

  test("that does not fit is looked into all the same", async () => {
    await using server = startLoopbackHub({
      "m-Q8_0.gguf": makeLargeModel(9_000_000, 1),
      "m-Q4_0.gguf": wordyModel(9),
    });
    const little = { largestModelBytes: () => 70, freeDiskBytes: async () => 256 * MEGABYTE };
    const { found, name, memory, disk } = await setUp(server, little).look();
    expect([name, found.format, memory.fits, disk.fits]).toEqual([`${REPO}:Q4_0`, "gguf", false, false]);
    const unknown = { largestModelBytes: () => null, freeDiskBytes: async () => null };
    const dark = await setUp(server, unknown).look(`hf:${REPO}:q8_0`);
    expect([dark.name, dark.memory.fits, dark.disk.fits]).toEqual([`${REPO}:Q8_0`, null, null]);
  });

  test("in parts is one", async () => {
    const names = ["m-Q4_0-00001-of-00002.gguf", "m-Q4_0-00002-of-00002.gguf"];
    const parts = Object.fromEntries(names.map((name, at) => [`Q4_0/${name}`, makeLargeModel(300_000, at)]));
    await using server = startLoopbackHub(parts);
    const { found, downloadBytes } = await setUp(server).look();
    expect([found.files, found.format]).toEqual([names.map((name) => `Q4_0/${name}`), "gguf"]);
    expect(downloadBytes).toBe(Object.values(parts).reduce((sum, { byteLength }) => sum + byteLength, 0));
  });

  test.each(["a SafeTensors model", "a sharded SafeTensors model"])(
    "of another form has the verdict that it would have here: %s",
    async (name) => {
      const files = fixtureFiles(name);
      await using server = startLoopbackHub(files);
      const { found, name: told, disk } = await setUp(server).look();
      const here = detectFormat("/m", { source: memoryFiles(FIXTURES.find((one) => one.name === name)?.files ?? {}) });
      const { verdict, architecture, tokenizer, parameterCount, missing } = here;
      expect(found).toMatchObject({ verdict, architecture, tokenizer, parameterCount, missing });
      expect(verdict).toStartWith("convertible");
      expect([told, found.guidance.command]).toEqual([
        `${REPO}:safetensors`,
        `ml-offload pull ${REPO}:safetensors --convert`,
      ]);
      expect(disk.neededBytes).toBeGreaterThan(here.sizeBytes + (here.guidance.sizeBytes ?? 0));
    },
  );

  test("that nothing here runs is told so, without a command", async () => {
    await using server = startLoopbackHub({
      "onnx/model.onnx": fixtureFiles("an ONNX model")["model.onnx"] ?? smallModel(),
    });
    const { found, name, memory } = await setUp(server).look();
    expect([found.verdict, found.guidance.command, name, memory.fits]).toEqual(["unsupported", null, null, null]);
  });
});

describe("what goes wrong", () => {
  const broken = async (fault: (asked: Asked) => ReturnType<LoopbackHub["fault"]>, model = WORDY) => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": model });
    server.fault = fault;
    return await setUp(server).look();
  };

  test("answers that break off, stall, are 429 and 503 are tried again", async () => {
    const found = await broken(({ kind, index }) => {
      if (kind === "tree")
        return index === 0 ? new Response("", { status: 429, headers: { "Retry-After": "0" } }) : null;
      if (kind === "resolve") return index === 0 ? new Response("", { status: 503 }) : null;
      if (index % 3 === 0) return { breakAfterBytes: 100_000 };
      return index === 1 ? { stallAfterBytes: 70_000 } : null;
    });
    expect(found.found.verdict).toBe("runs");
  });

  test("a server that sends nothing, or no parts", async () => {
    const nothing = await failure(broken(({ kind }) => (kind === "storage" ? { breakAfterBytes: 0 } : null)));
    expect([nothing.code, nothing.message]).toEqual(["download_failed", expect.stringContaining("ended too early")]);
    const whole = await failure(broken(({ kind }) => (kind === "storage" ? "no-ranges" : null)));
    expect([whole.code, whole.message]).toEqual(["download_failed", expect.stringContaining("no parts of files")]);
    const small = await broken(({ kind }) => (kind === "storage" ? "no-ranges" : null), smallModel());
    expect(small.found.format).toBe("gguf");
  });

  test("a file that is another one by now", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": WORDY });
    server.fault = ({ kind, index }) => {
      if (kind === "storage" && index === 0) server.files.set("tiny-Q8_0.gguf", wordyModel(120_001));
      return null;
    };
    const error = await failure(setUp(server).look());
    expect([error.code, error.message]).toEqual([
      "download_failed",
      expect.stringContaining("changed since it was listed"),
    ]);
  });

  test("a header that has no end is left", async () => {
    const lying = new Uint8Array(200 * MEGABYTE);
    const claims = rawGguf({ metadata: [stringEntry("general.architecture", "llama"), endlessEntry], tensorCount: 1 });
    lying.set(claims);
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": lying });
    const error = await failure(setUp(server).look());
    expect([error.code, error.message]).toEqual(["not_supported", expect.stringContaining("64 MiB")]);
    expect(server.servedBytes).toBeLessThanOrEqual(64 * MEGABYTE);
  });

  test("a gate, a name that is none, an address, and being offline", async () => {
    await using server = startLoopbackHub();
    server.fault = () => new Response("", { status: 401, headers: { "X-Error-Code": "GatedRepo" } });
    expect((await failure(setUp(server).look())).message).toContain("gated");
    server.fault = () => null;
    expect((await failure(setUp(server).look("owner/none"))).code).toBe("model_not_found");
    expect((await failure(setUp(server).look(`${REPO}:Q2_K`))).code).toBe("model_not_found");
    expect((await failure(setUp(server).look("https://example.org/m.gguf"))).code).toBe("invalid_request");
    const before = server.asked.length;
    const settings = { endpoint: server.endpoint, token: null, offline: true };
    expect((await failure(setUp(server, { settings }).look())).message).toContain("HF_HUB_OFFLINE");
    expect(server.asked.length).toBe(before);
  });
});

describe("the files of a model that is no GGUF", () => {
  const set = (...paths: string[]) =>
    listWeightsSet(paths.map((path): RepositoryFile => ({ path, sizeBytes: 1, sha256: null })))?.map(
      ({ path }) => path,
    );

  test("are its weights in one form, and what tells how they are used", () => {
    const needed = ["README.md", "config.json", "tokenizer.json", "1_Pooling/config.json", "modules.json"];
    const others = [
      "pytorch_model.bin",
      "onnx/model.onnx",
      "consolidated.safetensors",
      "training_args.bin",
      "x/y.json",
    ];
    expect(set(...others, "model.safetensors", ...needed)).toEqual(["model.safetensors", ...needed.toSorted()]);
    const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    expect(set(...shards, "model.safetensors.index.json", "consolidated.safetensors.index.json")).toEqual([
      ...shards,
      "model.safetensors.index.json",
    ]);
    const dense = ["2_Dense/config.json", "2_Dense/model.safetensors"];
    expect(set("model.safetensors", ...dense, "2_Other/model.safetensors")).toEqual(["model.safetensors", ...dense]);
    expect(set("consolidated.safetensors", "params.json")).toEqual(["consolidated.safetensors", "params.json"]);
    expect(set("adapter_model.safetensors", "adapter_config.json", "other.safetensors")).toEqual([
      "adapter_model.safetensors",
      "adapter_config.json",
    ]);
    expect(set("pytorch_model.bin", "config.json")).toEqual(["pytorch_model.bin", "config.json"]);
    expect(set("README.md", "m.gguf")).toBeUndefined();
  });
});

/** An array of texts as long as the file, each of which is there. */
function endlessEntry(out: Parameters<ReturnType<typeof stringEntry>>[0]): void {
  out
    .text("tokenizer.ggml.tokens")
    .u32(9)
    .u32(8)
    .u64(20 * MEGABYTE);
}
