// The set-up's rejections: a file that is not the pinned one, a tool that is missing, a step that fails. No network.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nativeFiles } from "../../native/build.ts";
import { buildCache, fetchLlama, sourceKey, verify } from "../../vendor/fetch.ts";
import { requireTool, run, SetupError } from "../../vendor/tools.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mlo-fetch-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `body` with these variables; undefined removes one. */
async function withEnvironment<T>(changes: Record<string, string | undefined>, body: () => T): Promise<Awaited<T>> {
  const saved = Object.fromEntries(Object.keys(changes).map((name) => [name, process.env[name]]));
  const set = (values: Record<string, string | undefined>): void => {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
  set(changes);
  try {
    return await body();
  } finally {
    set(saved);
  }
}

async function failureOf(body: () => unknown): Promise<SetupError> {
  try {
    await body();
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(SetupError);
    return thrown as SetupError;
  }
  throw new Error("nothing was refused");
}

describe("verify", () => {
  test("takes the pinned bytes and refuses any other, with both hashes", async () => {
    const file = join(folder, "package.tgz");
    writeFileSync(file, "the pinned bytes");
    const hash = `sha512-${new Bun.CryptoHasher("sha512").update("the pinned bytes").digest("base64")}`;
    expect(() => verify(file, hash)).not.toThrow();
    writeFileSync(file, "other bytes");
    const { message } = await failureOf(() => verify(file, hash));
    expect(message).toContain("is not the pinned file");
    expect(message).toContain(hash);
    expect(message).not.toContain("\n");
    expect((await failureOf(() => verify(file))).message).toContain("node-llama-cpp@");
  });
});

describe("a missing tool", () => {
  test.each(["git", "npm", "cmake", "c++", "tar"])("%s is named, with the way to get it", async (name) => {
    const { message } = await failureOf(() => requireTool(name, folder));
    expect(message).toStartWith(`${name} is needed and was not found: install `);
    expect(message).toEndWith(".");
  });

  test("one that is there is found", () => {
    expect(requireTool("sh")).toEndWith("/sh");
  });
});

describe("run", () => {
  const shell = (script: string): string[] => ["sh", "-c", script];

  test("gives the standard output", async () => {
    expect(await run(shell("echo out; echo err >&2"), { what: "speaking" })).toBe("out\n");
    expect(await run(shell("pwd; echo $WORD"), { what: "x", cwd: folder, env: { WORD: "w" } })).toEndWith("\nw\n");
  });

  test("a failure says what failed, what to do, and the program's last lines", async () => {
    const script = "i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line$i >&2; done; exit 3";
    const { message } = await failureOf(() => run(shell(script), { what: "counting", hint: "Count less." }));
    expect(message).toStartWith("counting failed (exit 3). Count less.\nline19\n");
    expect(message).toEndWith("\nline30");
    expect((await failureOf(() => run(["false"], { what: "it" }))).message).toBe("it failed (exit 1).");
  });
});

describe("the source", () => {
  test("the cache is where XDG says, else in the home", async () => {
    expect(await withEnvironment({ XDG_CACHE_HOME: "/c" }, () => buildCache())).toBe("/c/ml-offload/build");
    for (const unset of [undefined, "", "relative"]) {
      const found = await withEnvironment({ XDG_CACHE_HOME: unset }, () => buildCache());
      expect(found).toEndWith("/.cache/ml-offload/build");
      expect(found).toStartWith("/");
    }
  });

  test("a checkout that is none is refused and what is there stays", async () => {
    const empty = join(folder, "empty");
    mkdirSync(empty);
    const { message } = await withEnvironment({ ML_OFFLOAD_LLAMA_SRC: empty }, () => failureOf(() => fetchLlama()));
    expect(message).toBe(`ML_OFFLOAD_LLAMA_SRC=${empty} does not hold llama.cpp (no include/llama.h).`);
  });

  test("its key is stable", () => {
    expect(sourceKey()).toMatch(/^[0-9a-f]{64}$/);
    expect(sourceKey()).toBe(sourceKey());
  });
});

test("a build's files are its libraries, in order", () => {
  const build = join(folder, "build");
  mkdirSync(build);
  for (const name of ["libmlo.so", "llama-server", "libggml-base.so", "x.metallib", "note.txt"]) {
    writeFileSync(join(build, name), "");
  }
  expect(nativeFiles(build)).toEqual(["libggml-base.so", "libmlo.so", "x.metallib"]);
});
