// `show`: what it collects and prints, on the demo model, on folders of others, and on names.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgv } from "../../src/commands/arguments/argv.ts";
import { renderInspection } from "../../src/commands/text/show-text.ts";
import { inspectWhole } from "../../src/models/inspect.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { startLoopbackHub } from "../support/loopback-hub.ts";
import { stateDict, zipCheckpoint } from "../support/pickle-writer.ts";
import { rawGguf, stringEntry } from "../support/raw-gguf.ts";
import { TINY, writeTinyFolder } from "../support/tiny-decoders.ts";

const ROOT = join(import.meta.dir, "../..");
const DEMO = join(ROOT, "src/demo/demo.gguf");
let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mlo-show-"));
  symlinkSync(DEMO, join(folder, "tiny.gguf"));
});

afterAll(() => rmSync(folder, { recursive: true }));

const run = (...args: string[]) => runWith({}, ...args);
const runWith = (env: Record<string, string>, ...args: string[]) => {
  const child = Bun.spawnSync([process.execPath, join(ROOT, "src/main.ts"), "show", ...args], {
    env: { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder, ...env },
    cwd: folder,
  });
  return { code: child.exitCode, out: child.stdout.toString(), err: child.stderr.toString() };
};

describe("what is collected", () => {
  test("metadata always, tensors when asked for", () => {
    const all = inspectWhole(DEMO, { filter: null, tensors: false });
    expect(all.metadata).toContainEqual({ key: "general.architecture", value: "llama" });
    expect(all.tensorCount).toBeGreaterThan(10);
    expect(all.tensors).toEqual([]);
    expect(inspectWhole(DEMO, { filter: null, tensors: true }).tensors).toHaveLength(all.tensorCount);
  });

  test("a filter keeps keys and tensors with its letters in them", () => {
    const { metadata, tensors } = inspectWhole(DEMO, { filter: "EMB", tensors: false });
    expect(metadata.map(({ key }) => key)).toEqual(["llama.embedding_length"]);
    expect(tensors).toEqual([{ name: "token_embd.weight", type: "Q8_0", shape: [128, 1024], file: DEMO }]);
  });

  test("a PyTorch checkpoint's tensors", () => {
    const path = join(folder, "model.pt");
    writeFileSync(path, zipCheckpoint(stateDict([{ name: "w", shape: [2, 2], key: "0" }]), { "0": 16 }));
    const { tensors, format } = inspectWhole(path, { filter: null, tensors: true });
    expect({ format, tensors }).toEqual({
      format: "pytorch",
      tensors: [{ name: "w", type: "F32", shape: [2, 2], file: path }],
    });
  });

  test("GGUF of a version that is not read has a verdict and no contents", () => {
    const path = join(folder, "old.gguf");
    writeFileSync(path, rawGguf({ version: 1 }));
    expect(inspectWhole(path, { filter: null, tensors: true })).toMatchObject({ verdict: "unsupported", tensors: [] });
  });

  test("nothing there", () => {
    expect(() => inspectWhole(join(folder, "none"), { filter: null, tensors: false })).toThrow(AppError);
  });
});

describe("the command", () => {
  test("prints what a file is", () => {
    const { out, code } = run("tiny.gguf");
    expect(code).toBe(0);
    expect(out).toContain("verdict");
    expect(out).toContain(`ml-offload run ${join(folder, "tiny.gguf")}`);
    expect(out).toContain("general.architecture");
  });

  test("prints JSON", () => {
    const found = JSON.parse(run("tiny.gguf", "output_norm", "--json").out);
    expect(found).toMatchObject({ format: "gguf", verdict: "runs", guidance: { memoryBytes: expect.any(Number) } });
    expect(found.tensors).toHaveLength(1);
  });

  test("takes a model's name", () => {
    expect(run("tiny", "--models-dir", folder, "--json").code).toBe(0);
    const { code, err } = run("tinny", "--models-dir", folder);
    expect(code).toBe(1);
    expect(err).toContain("tiny");
  });

  test("needs a subject", () => {
    expect(run().code).toBe(2);
    expect(parseArgv(["show", "a", "b", "--tensors"])).toMatchObject({
      command: "show",
      show: { subject: "a", filter: "b", tensors: true, json: false },
    });
  });
});

test("texts of a file can't steer a terminal", () => {
  const path = join(folder, "evil.gguf");
  writeFileSync(path, rawGguf({ metadata: [stringEntry("general.name", "\u001b[2J\u0007\nnext line")] }));
  const text = renderInspection(inspectWhole(path, { filter: null, tensors: true }));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there.
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
});

function weightsOf(source: string): Map<string, Uint8Array> {
  writeTinyFolder(source, TINY, tinyTokenizer());
  return new Map(readdirSync(source).map((name) => [name, readFileSync(join(source, name))]));
}

test("a model of the Hub is shown before it is downloaded", async () => {
  await using server = startLoopbackHub({ "tiny-Q8_0.gguf": readFileSync(DEMO) });
  const show = (...args: string[]) => showWith({}, ...args);
  const showWith = async (more: Record<string, string>, ...args: string[]) => {
    const child = Bun.spawn([process.execPath, join(ROOT, "src/main.ts"), "show", ...args], {
      env: { PATH: process.env.PATH ?? "", HOME: folder, HF_ENDPOINT: server.endpoint, ...more },
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [out, err] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return { code: await child.exited, out, err };
  };
  const { out, code } = await show("owner/tiny-GGUF");
  expect([code, out]).toEqual([0, expect.stringContaining("ml-offload pull owner/tiny-GGUF:Q8_0")]);
  expect(out).toContain("general.architecture");
  expect(out).not.toContain("memory here");
  expect(out).toMatch(/owner\/tiny-GGUF:Q8_0: fits\n +settings: +a context of/);
  expect(out).toMatch(/counted: +by the formula/);
  const { out: json } = await show("hf:owner/tiny-GGUF:q8_0", "token_embd", "--json");
  expect(JSON.parse(json)).toMatchObject({
    path: "hf:owner/tiny-GGUF:Q8_0",
    verdict: "runs",
    tensors: [{ name: "token_embd.weight", file: "tiny-Q8_0.gguf" }],
    hub: {
      name: "owner/tiny-GGUF:Q8_0",
      memory: null,
      disk: { fits: expect.any(Boolean) },
      plan: { verdict: "fits", source: "estimated", convertTo: null },
      noPlan: null,
    },
  });
  const asked = await showWith(
    { ML_OFFLOAD_CTX: "300" },
    "hf:owner/tiny-GGUF:q8_0",
    "--json",
    "--memory-budget",
    "1000",
  );
  expect(JSON.parse(asked.out).hub).toMatchObject({
    disk: expect.anything(),
    plan: { verdict: "refused", asked: { ctx: 300 }, machine: { pools: [{ budgetBytes: 1000 }] } },
  });
  server.files = weightsOf(join(folder, "hub-weights"));
  const { hub } = JSON.parse((await show("hf:owner/tiny-GGUF", "--json")).out);
  expect(hub).toMatchObject({ plan: { model: "owner/tiny-GGUF:safetensors", verdict: "fits", convertTo: "f16" } });
  const typed = await showWith({ ML_OFFLOAD_CONVERT_TYPE: "q8_0" }, "hf:owner/tiny-GGUF", "--json");
  expect(JSON.parse(typed.out).hub.plan).toMatchObject({ convertTo: "q8_0" });
  const none = await show("owner/none");
  expect([none.code, none.err]).toEqual([1, expect.stringContaining("owner/none does not exist")]);
  const before = server.asked.length;
  expect((await show("nobody-has-this")).code).toBe(1);
  expect(server.asked.length).toBe(before);
});

test("a described model's own file is told: its template, and what has no effect", () => {
  const files = join(folder, "described");
  mkdirSync(files);
  const content = { model_id: "nice", path: DEMO, settings: { chat_template: "{{ messages }}" }, framework: "onnx" };
  writeFileSync(join(files, "nice.json"), JSON.stringify(content));
  const env = { MODEL_CONFIG_DIR: files };
  const { code, out } = runWith(env, "nice");
  expect(code).toBe(0);
  expect(out).toContain("the model file's chat template, 14 characters");
  expect(out).toMatch(/without effect +framework/);
  const { modelFile } = JSON.parse(runWith(env, "nice", "--json").out);
  expect(modelFile).toMatchObject({ file: join(files, "nice.json"), chatTemplate: "{{ messages }}" });
  // A path is what lies there, whatever model files say of it.
  expect(runWith(env, DEMO).out).not.toContain("model file");
});
