// A binary that carries a CUDA plug-in: a stand-in, which needs a library that is nowhere. Unpacked only where a driver is,
// and whatever is wrong with it is a reason in health; the CPU answers.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasCudaDriver } from "../../src/lib/cuda-libraries.ts";
import { type Server, startServer } from "../support/server.ts";

const ROOT = join(import.meta.dir, "../..");
const NATIVE = join(ROOT, "build/native");
const PLUGIN = "libggml-cuda.so";
const folder = mkdtempSync(join(tmpdir(), "mlo-packed-binary-"));
const program = join(folder, "ml-offload");
const driver = join(folder, "driver");

const isLinux = process.platform === "linux";
const hasDriver = hasCudaDriver(process.env);
if (!isLinux) console.error("skipped: the stand-in is an ELF library");
if (hasDriver) console.error("skipped: this machine has an NVIDIA driver, and the stand-in plays one without");
const skipped = !isLinux || hasDriver;

async function runTool(command: string[]): Promise<void> {
  const child = Bun.spawn(command, { cwd: ROOT, stdout: "ignore", stderr: "pipe" });
  const text = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`${command[0]} failed: ${text}`);
}

async function compileLibrary(source: string, path: string, ...flags: string[]): Promise<void> {
  writeFileSync(join(folder, "source.c"), source);
  await runTool(["cc", "-shared", "-fPIC", "-o", path, join(folder, "source.c"), ...flags]);
}

beforeAll(async () => {
  if (skipped) return;
  const native = join(folder, "native");
  for (const made of [native, driver]) mkdirSync(made);
  for (const name of readdirSync(NATIVE))
    if (/\.(so|node)$/.test(name)) copyFileSync(join(NATIVE, name), join(native, name));
  const runtime = join(folder, "libcublas.so.99");
  await compileLibrary("int cublasCreate(void) { return 0; }", runtime, "-Wl,-soname,libcublas.so.99");
  const source =
    "int cublasCreate(void); char room[1 << 20] = {1}; void *ggml_backend_init(void) { cublasCreate(); return 0; }";
  await compileLibrary(source, join(native, PLUGIN), runtime);
  await compileLibrary("int cuInit(int flags) { return 100 + flags; }", join(driver, "libcuda.so.1"));
  await runTool([process.execPath, join(ROOT, "build.ts"), "compile", native, "--out", program]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Seen {
  skipped: { file: string; reason: string }[];
  answer: string;
  /** What the cache holds of the plug-in. */
  unpacked: Buffer | null;
  log: string;
}

async function serve(cache: string, env: Record<string, string>, binary = program): Promise<Seen> {
  const home = join(folder, cache);
  const server: Server = await startServer({ program: [binary], env: { XDG_CACHE_HOME: home, ...env } });
  try {
    const info = (await (await fetch(`${server.url}/api/backend/info`)).json()) as {
      skippedPlugins: Seen["skipped"];
    };
    const asked = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ messages: [{ role: "user", content: "What is 7 + 8?" }], temperature: 0 }),
    });
    const body = (await asked.json()) as { choices: { message: { content: string } }[] };
    const natives = join(home, "ml-offload/native");
    const [hash = "", ...more] = readdirSync(natives);
    expect(more).toEqual([]);
    const names = readdirSync(join(natives, hash));
    expect(names.filter((name) => name.includes(".part") || name.endsWith(".zst"))).toEqual([]);
    return {
      skipped: info.skippedPlugins,
      answer: body.choices[0]?.message.content ?? "",
      unpacked: names.includes(PLUGIN) ? readFileSync(join(natives, hash, PLUGIN)) : null,
      log: server.logTail(),
    };
  } finally {
    await server.stop();
  }
}

test.skipIf(skipped)("without a driver it stays packed, and nobody is warned", async () => {
  const seen = await serve("without", {});
  expect(seen.skipped).toEqual([{ file: PLUGIN, reason: "there is no NVIDIA driver here" }]);
  expect(seen).toMatchObject({ answer: "15", unpacked: null });
  expect(seen.log).not.toContain(PLUGIN);
});

test.skipIf(skipped)("with one it is unpacked and tried; a missing library is named, with the way to it", async () => {
  const seen = await serve("with", { ML_OFFLOAD_CUDA_LIBS: driver });
  expect(seen.skipped).toHaveLength(1);
  expect(seen.skipped[0]?.reason).toMatch(/^libcublas\.so\.99 of CUDA was not found: .*ML_OFFLOAD_CUDA_LIBS/);
  expect(seen.answer).toBe("15");
  expect(seen.unpacked?.equals(readFileSync(join(folder, "native", PLUGIN)))).toBe(true);
  // The same cache after the driver went: it is not tried any more.
  const later = await serve("with", {});
  expect(later.skipped).toEqual([{ file: PLUGIN, reason: "there is no NVIDIA driver here" }]);
});

test.skipIf(skipped)("one that is damaged inside the binary is a reason, and the server serves", async () => {
  const bytes = readFileSync(program);
  const payload = readFileSync(join(ROOT, "build/embed", `${PLUGIN}.zst.embedded`));
  const at = bytes.indexOf(payload);
  expect(at).toBeGreaterThan(0);
  const middle = at + (payload.byteLength >> 1);
  bytes[middle] = (bytes[middle] ?? 0) ^ 0xff;
  const damaged = join(folder, "damaged");
  writeFileSync(damaged, bytes, { mode: 0o755 });
  const seen = await serve("after-damage", { ML_OFFLOAD_CUDA_LIBS: driver }, damaged);
  const reason = "its copy in this program is damaged: fetch the program again";
  expect(seen).toMatchObject({ skipped: [{ file: PLUGIN, reason }], answer: "15", unpacked: null });
  expect(seen.log).toContain(reason);
});
