// One file and nothing else: it serves and chats from an empty folder with an empty home, extracts its libraries once,
// and says what to do where it can't.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY, makeFolder, readEngine, readEngines, runBinary, waitFor } from "../support/binary.ts";
import { startServer } from "../support/server.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-alone-"));
const program = join(folder, "empty", "ml-offload");
const home = join(folder, "home");
/** No PATH even: there is nothing that it may call. */
const env = { HOME: home };
const OVERRIDE = /XDG_CACHE_HOME.*ML_OFFLOAD_NATIVE_DIR/;

beforeAll(() => {
  mkdirSync(join(folder, "empty"));
  mkdirSync(home);
  cpSync(BINARY, program);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (args: string[], extra: { env?: Record<string, string>; input?: string } = {}) =>
  runBinary(args, { program, cwd: join(folder, "empty"), env, ...extra });

const ask = (prompt: string) => ["run", "demo", prompt, "--temperature", "0"];

describe("answers that need no library", () => {
  test("--version, in words and as JSON, leaves nothing in the home", async () => {
    const words = await run(["--version"]);
    expect(words).toMatchObject({ code: 0, stderr: "" });
    expect(words.stdout).toMatch(/^ml-offload \d+\.\d+\.\d+ \(llama\.cpp v\S+ [0-9a-f]{9}, Bun \S+, \S+\)\n$/);
    const json = JSON.parse((await run(["--version", "--json"])).stdout);
    expect(words.stdout).toContain(json.version);
    expect(json.platform).toBe(`${process.platform}-${process.arch}`);
    expect(readdirSync(home)).toEqual([]);
  });

  test("--help, and nothing at all", async () => {
    const help = await run(["--help"]);
    expect(help).toMatchObject({ code: 0, stderr: "" });
    for (const command of ["serve", "run", "licenses", "version"]) expect(help.stdout).toContain(`  ${command}`);
    expect(help.stdout).not.toContain("engine");
    expect((await run([])).stdout).toBe(help.stdout);
  });

  test("licenses are complete when piped, though they are longer than a pipe's buffer", async () => {
    const { code, stdout } = await run(["licenses"]);
    expect(code).toBe(0);
    expect(stdout.length).toBeGreaterThan(64 * 1024);
    for (const part of ["ml-offload", "llama.cpp and ggml", "Bun", "elysia", "swagger-ui-dist"]) {
      expect(stdout).toContain(part);
    }
    // The last section is whole: by name the last of the packages.
    expect(stdout.trimEnd().split("=".repeat(78)).at(-1)?.length).toBeGreaterThan(200);
  });
});

describe("the demo model answers", () => {
  test("run with a prompt, plain", async () => {
    expect(await run(ask("What is 7 + 8?"))).toEqual({ code: 0, stdout: "15\n", stderr: "" });
    const count = await run(ask("Count from 1 to 10"));
    expect(count.stdout).toBe("1, 2, 3, 4, 5, 6, 7, 8, 9, 10\n");
  });

  test("run with a prompt on stdin", async () => {
    const hello = await run(["run", "demo", "--temperature", "0"], { input: "Say hello in one sentence\n" });
    expect(hello).toEqual({ code: 0, stdout: "Hello! It is nice to meet you.\n", stderr: "" });
  });

  test("run --json prints one object", async () => {
    const { stdout } = await run([...ask("What is 7 + 8?"), "--json"]);
    expect(stdout.endsWith("}\n")).toBe(true);
    expect(JSON.parse(stdout)).toMatchObject({
      model: "demo",
      content: "15",
      finish_reason: "stop",
      usage: { prompt_tokens: expect.any(Number), completion_tokens: expect.any(Number) },
    });
  });

  test("serve, and a second server that takes over the extraction", async () => {
    const natives = join(home, ".cache/ml-offload/native");
    const seen: number[] = [];
    for (let start = 0; start < 2; start++) {
      const server = await startServer({
        program: [program],
        env: { HOME: home, XDG_CACHE_HOME: join(home, ".cache") },
      });
      try {
        const response = await fetch(`${server.url}/v1/chat/completions`, {
          method: "POST",
          body: JSON.stringify({ messages: [{ role: "user", content: "What is 7 + 8?" }], temperature: 0 }),
        });
        const body = (await response.json()) as { choices: { message: { content: string } }[] };
        expect(body.choices[0]?.message.content).toBe("15");
        expect(await readEngines(server.url)).toHaveLength(1);
      } finally {
        await server.stop();
      }
      const [hash = "", ...more] = readdirSync(natives);
      expect(more).toEqual([]);
      seen.push(statSync(join(natives, hash, "demo.gguf")).mtimeMs);
    }
    expect(seen[1]).toBe(seen[0] as number);
    expect(readdirSync(join(folder, "empty"))).toEqual(["ml-offload"]);
  });

  test("an extraction that lost a file, or a part of one, is made again", async () => {
    const natives = join(home, ".cache/ml-offload/native");
    const [hash = ""] = readdirSync(natives);
    rmSync(join(natives, hash, "libmlo.so"), { force: true });
    expect((await run(ask("What is 7 + 8?"))).stdout).toBe("15\n");
    truncateSync(join(natives, hash, "demo.gguf"), 1000);
    expect((await run(ask("What is 7 + 8?"))).stdout).toBe("15\n");
    expect(readdirSync(natives)).toEqual([hash]);
  });
});

test("a server goes on when its file is deleted or replaced, as an update does", async () => {
  const own = join(folder, "updated");
  cpSync(BINARY, own);
  const server = await startServer({ program: [own], env: { HOME: home, XDG_CACHE_HOME: join(home, ".cache") } });
  try {
    rmSync(own);
    const ask = () =>
      fetch(`${server.url}/v1/chat/completions`, {
        method: "POST",
        body: JSON.stringify({ messages: [{ role: "user", content: "What is 7 + 8?" }], temperature: 0 }),
      });
    expect((await ask()).status).toBe(200);
    writeFileSync(own, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    process.kill((await readEngine(server.url)).pid, "SIGKILL");
    await waitFor("the death to be noticed", async () => (await readEngines(server.url)).length === 0);
    expect((await ask()).status).toBe(200);
  } finally {
    await server.stop();
  }
});

describe("where the libraries can't be extracted", () => {
  test("a cache below a regular file: the way out is named", async () => {
    using scratch = makeFolder();
    const file = join(scratch.path, "file");
    writeFileSync(file, "");
    const failed = await run(["serve", "--port", "0"], { env: { ...env, XDG_CACHE_HOME: file } });
    expect(failed.code).toBe(4);
    expect(failed.stdout).toBe("");
    expect(failed.stderr).toContain(`Can't extract the native libraries to ${file}`);
    expect(failed.stderr).toMatch(OVERRIDE);
    // A service's HOME is often /dev/null; its config file is then merely absent.
    const noHome = await run(["serve", "--port", "0"], { env: { HOME: "/dev/null" } });
    expect(noHome.code).toBe(4);
    expect(noHome.stderr).toMatch(OVERRIDE);
  });

  test("a file system that allows no execution, or no writing", async () => {
    using scratch = makeFolder();
    for (const [option, reason] of [
      ["noexec", /failed to map segment|Operation not permitted/],
      ["ro", /Can't extract/],
    ] as const) {
      const mount = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", option, "tmpfs", scratch.path]);
      if (!mount.success) {
        console.log(`not tested: this user can't mount a ${option} file system`);
        return;
      }
      try {
        const failed = await run(["serve", "--port", "0"], { env: { ...env, XDG_CACHE_HOME: scratch.path } });
        expect(failed.code).toBe(4);
        expect(failed.stderr).toMatch(reason);
        expect(failed.stderr).toMatch(/XDG_CACHE_HOME or ML_OFFLOAD_NATIVE_DIR|XDG_CACHE_HOME.*ML_OFFLOAD_NATIVE_DIR/);
        expect(failed.stderr).not.toContain("    at ");
      } finally {
        Bun.spawnSync(["umount", scratch.path]);
      }
    }
  });

  test("ML_OFFLOAD_NATIVE_DIR names another copy, and a wrong one is explained", async () => {
    using scratch = makeFolder();
    const natives = join(home, ".cache/ml-offload/native");
    const [hash = ""] = readdirSync(natives);
    const copy = join(scratch.path, "libraries");
    cpSync(join(natives, hash), copy, { recursive: true });
    // Nothing is extracted: the cache can't even be made. Packagers ship the demo model beside the libraries.
    const given = { HOME: "/dev/null", XDG_CACHE_HOME: "/dev/null", ML_OFFLOAD_NATIVE_DIR: copy };
    expect((await run(ask("What is 7 + 8?"), { env: given })).stdout).toBe("15\n");
    const wrong = await run(["serve", "--port", "0"], { env: { ...env, ML_OFFLOAD_NATIVE_DIR: scratch.path } });
    expect(wrong.code).toBe(4);
    expect(wrong.stderr).toContain(`There is no libmlo in ${scratch.path}`);
  });
});
