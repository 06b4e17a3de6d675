// A CPU variant that claims to be the best and dies at work must not take the server with it: the self-test finds it.

import { expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startServer } from "../support/server.ts";

const NATIVE = join(import.meta.dir, "../../build/native");

/** Scores above every real variant, and dies of an illegal instruction when it is started. */
const LYING_PLUGIN = `
int ggml_backend_score(void) { return 1000000; }
void * ggml_backend_init(void) { __builtin_trap(); }
`;
/** Needs a library that is nowhere. */
const UNLOADABLE_PLUGIN = "not an ELF file";

async function compileLibrary(source: string, path: string): Promise<void> {
  const file = `${path}.c`;
  writeFileSync(file, source);
  const compiler = Bun.spawn([Bun.which("cc") ?? "c++", "-shared", "-fPIC", "-o", path, file], { stderr: "inherit" });
  expect(await compiler.exited).toBe(0);
  rmSync(file);
}

async function chat(url: string): Promise<string> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ messages: [{ role: "user", content: "What is 7 + 8?" }], temperature: 0 }),
  });
  const body = (await response.json()) as { choices: { message: { content: string } }[] };
  return body.choices[0]?.message.content ?? "";
}

test.skipIf(process.platform !== "linux")("a variant that dies is skipped with the reason, and stays so", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mlo-plugins-"));
  const cache = mkdtempSync(join(tmpdir(), "mlo-cache-"));
  try {
    for (const name of readdirSync(NATIVE)) copyFileSync(join(NATIVE, name), join(folder, name));
    await compileLibrary(LYING_PLUGIN, join(folder, "libggml-cpu-lying.so"));
    writeFileSync(join(folder, "libggml-cpu-broken.so"), UNLOADABLE_PLUGIN);
    const env = { ML_OFFLOAD_NATIVE_DIR: folder, XDG_CACHE_HOME: cache };
    for (const start of ["first", "second"]) {
      const server = await startServer({ env });
      try {
        expect(await chat(server.url)).toBe("15");
        const info = (await (await fetch(`${server.url}/api/backend/info`)).json()) as {
          plugins: string[];
          skippedPlugins: { file: string; reason: string }[];
        };
        expect(info.plugins).toHaveLength(1);
        const skipped = new Map(info.skippedPlugins.map(({ file, reason }) => [file, reason]));
        expect([...skipped.keys()].sort()).toEqual(["libggml-cpu-broken.so", "libggml-cpu-lying.so"]);
        expect(skipped.get("libggml-cpu-lying.so")).toMatch(/SIGILL|SIGTRAP/);
        // The second start takes the result from the cache: it warns of nothing any more.
        expect(server.logTail().includes("libggml-cpu-lying.so is not used")).toBe(start === "first");
      } finally {
        await server.stop();
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(cache, { recursive: true, force: true });
  }
});
