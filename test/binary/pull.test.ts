// Downloads by the compiled binary from a Hub on this machine: killed at seeded moments and gone on with, refused, looked at
// before, and converted after. Nothing half is ever there to be listed.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { ModelRegistry } from "../../src/models/registry.ts";
import { BINARY, homeEnvironment, runBinary } from "../support/binary.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { type LoopbackHub, makeLargeModel, sha256Of, startLoopbackHub } from "../support/loopback-hub.ts";
import { makeRandom } from "../support/random.ts";
import { TINIEST, writeTinyFolder } from "../support/tiny-decoders.ts";

const REPO = "owner/tiny-GGUF";
const MEGABYTE = 1024 * 1024;
const folder = mkdtempSync(join(tmpdir(), "mlo-binary-pull-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Home {
  models: string;
  env: Record<string, string>;
}

function makeHome({ endpoint }: Pick<LoopbackHub, "endpoint">): Home {
  const home = mkdtempSync(join(folder, "home-"));
  const env = homeEnvironment(home, { HF_ENDPOINT: endpoint, XDG_DATA_HOME: join(home, "data") });
  return { models: join(home, "data/ml-offload/models"), env };
}

const run = (args: string[], env: Record<string, string>) => runBinary(args, { env, cwd: folder });

function listed(models: string): string[] {
  const options = { models: [], modelsDirs: [models], demoPath: null, clock: new FakeClock() };
  return existsSync(models) ? new ModelRegistry(options).list().map(({ id }) => id) : [];
}

/** What is not hidden, and in no hidden folder. */
function visibleFiles(models: string): string[] {
  if (!existsSync(models)) return [];
  return readdirSync(models, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(models, join(entry.parentPath, entry.name)))
    .filter((path) => !path.split("/").some((part) => part.startsWith(".")))
    .sort();
}

describe("a kill at any moment", () => {
  test.each([1, 2, 3])(
    "loses little, and leaves nothing half (seed %d)",
    async (seed) => {
      const random = makeRandom(seed);
      const model = makeLargeModel(8 * MEGABYTE, seed);
      await using server = startLoopbackHub({ "tiny-Q8_0.gguf": model });
      const { models, env } = makeHome(server);
      server.slownessMs = 10;
      const kills = 5;
      for (let kill = 0; kill < kills; kill++) {
        const child = Bun.spawn([BINARY, "pull", REPO], { env, stdio: ["ignore", "ignore", "ignore"] });
        const asked = server.asked.length;
        const servedUntil = server.servedBytes + random(2 * MEGABYTE);
        while (server.servedBytes < servedUntil || server.asked.length === asked) {
          if (child.exitCode !== null) break;
          await Bun.sleep(1);
        }
        child.kill("SIGKILL");
        await child.exited;
        if (visibleFiles(models).length > 0) break;
        expect(listed(models)).toEqual([]);
      }
      server.slownessMs = 0;
      const last = await run(["pull", REPO], env);
      expect([last.code, last.stdout]).toEqual([0, `${REPO}:Q8_0\n`]);
      const path = join(models, REPO, "Q8_0/tiny-Q8_0.gguf");
      expect(sha256Of(readFileSync(path))).toBe(sha256Of(model));
      expect([listed(models), visibleFiles(models)]).toEqual([[`${REPO}:Q8_0`], [relative(models, path)]]);
      expect(server.servedBytes).toBeLessThan((kills + 1) * model.length);
      const again = await run(["pull", REPO], env);
      expect([again.code, again.stderr]).toEqual([0, expect.stringContaining("is there already")]);
    },
    120_000,
  );
});

describe("what is refused", () => {
  test("a gate, a name that is none, and being offline have their exit codes and hints", async () => {
    await using server = startLoopbackHub();
    const { models, env } = makeHome(server);
    server.fault = () => new Response("", { status: 401, headers: { "X-Error-Code": "GatedRepo" } });
    const gated = await run(["pull", REPO], env);
    expect([gated.code, gated.stderr]).toEqual([1, expect.stringContaining("Accept the terms at")]);
    server.fault = () => null;
    const none = await run(["pull", "owner/none"], env);
    expect([none.code, none.stderr]).toEqual([1, expect.stringContaining("does not exist")]);
    const offline = await run(["pull", REPO], { ...env, HF_HUB_OFFLINE: "1" });
    expect([offline.code, offline.stderr]).toEqual([2, expect.stringContaining("HF_HUB_OFFLINE")]);
    const plain = await run(["pull", "llama3"], env);
    expect([plain.code, plain.stderr]).toEqual([2, expect.stringContaining("owner/repo")]);
    expect(visibleFiles(models)).toEqual([]);
  });

  test("a checksum that is not the listed one", async () => {
    await using server = startLoopbackHub({ "tiny-Q8_0.gguf": makeLargeModel(300_000, 5) });
    server.lies.set("tiny-Q8_0.gguf", "ab".repeat(32));
    const { models, env } = makeHome(server);
    const wrong = await run(["pull", REPO], env);
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining("again and again")]);
    expect([visibleFiles(models), listed(models)]).toEqual([[], []]);
  });
});

describe("weights of another form", () => {
  const files: Record<string, Uint8Array> = {};
  beforeAll(() => {
    const source = join(folder, "weights");
    writeTinyFolder(source, { ...TINIEST, isTied: true, dtype: "BF16" }, tinyTokenizer());
    for (const name of readdirSync(source)) files[name] = readFileSync(join(source, name));
  });

  test("are told about, fetched and converted by what is told", async () => {
    await using server = startLoopbackHub(files);
    const { models, env } = makeHome(server);
    const shown = await run(["show", `hf:${REPO}`, "--json"], env);
    const { verdict, guidance, hub } = JSON.parse(shown.stdout);
    expect([shown.code, verdict, hub.disk.fits]).toEqual([0, "convertible", true]);
    expect(visibleFiles(models)).toEqual([]);
    const [program, ...args] = guidance.command.split(" ");
    expect(program).toBe("ml-offload");
    const pulled = await run(args, env);
    const target = join(models, "tiny-GGUF-BF16.gguf");
    expect([pulled.code, pulled.stdout]).toEqual([0, `${target}\n`]);
    const made = await run(["show", target, "--json"], env);
    expect(JSON.parse(made.stdout)).toMatchObject({ format: "gguf", verdict: "runs" });
    // The folder itself is listed too: it would be converted when it is loaded.
    expect(listed(models).sort()).toEqual([`${REPO}:safetensors`, "tiny-GGUF-BF16"]);
  }, 60_000);

  test("are kept for a command of one's own", async () => {
    await using server = startLoopbackHub(files);
    const { models, env } = makeHome(server);
    const { code, stderr, stdout } = await run(["pull", REPO], env);
    expect([code, stdout]).toEqual([0, `${REPO}:safetensors\n`]);
    expect(stderr).toContain(`ml-offload convert ${join(models, REPO, "safetensors/tiny-GGUF")}`);
  });
});
