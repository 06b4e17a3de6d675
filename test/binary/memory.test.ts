// Models in memory by way of the compiled file: loaded at the start, by command, in room for one, and unloaded again.

import { expect, test } from "bun:test";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { assertBinary, makeFolder, runBinary, startBinary } from "../support/binary.ts";
import { DEMO_PATH } from "../support/fake-inference.ts";
import type { Json } from "../support/http-app.ts";
import { askNeed, listEngines } from "../support/swap-server.ts";

const WAIT_MS = 120_000;

test(
  "ps, load, switch and unload",
  async () => {
    assertBinary();
    using home = makeFolder();
    const models = join(home.path, "models");
    mkdirSync(models);
    for (const name of ["one", "two"]) copyFileSync(DEMO_PATH, join(models, `${name}.gguf`));
    const args = ["--models-dir", models, "--discover", "off"];
    const measuring = await startBinary({ args });
    const needBytes = await askNeed(measuring, "one");
    await measuring.stop();
    const budget = Math.floor(1.5 * needBytes);
    const server = await startBinary({ args: [...args, "--memory-budget", String(budget), "--preload", "two"] });
    try {
      const run = async (...words: string[]) => {
        const { code, stdout, stderr } = await runBinary([...words, "--server", server.url]);
        return { code, stdout, stderr };
      };
      const status = async (): Promise<Json> => JSON.parse((await run("ps", "--json")).stdout);
      const states = async () =>
        (await status()).models.map(({ id, state, default: first }: Json) => [id, state, first]);
      expect((await run("load", "two")).stdout).toContain("two is loaded");
      expect(await states()).toEqual([["two", "loaded", false]]);
      expect((await run("switch", "one")).stdout).toContain("one is loaded");
      expect((await states()).sort()).toEqual([
        ["one", "loaded", true],
        ["two", "asleep", false],
      ]);
      expect(listEngines(server.pid)).toHaveLength(1);
      const { models: listed, pools, swaps } = await status();
      expect([pools, swaps]).toEqual([
        [{ name: "main memory", budgetBytes: budget, plannedBytes: expect.any(Number) }],
        1,
      ]);
      expect(pools[0].plannedBytes).toBeLessThanOrEqual(pools[0].budgetBytes);
      expect(listed.find(({ id }: Json) => id === "one").memory.anonBytes).toBeGreaterThan(1024 ** 2);
      // Requests that name no model are for the one that was switched to.
      const headers = { "content-type": "application/json" };
      const body = JSON.stringify({ prompt: "x", max_tokens: 1 });
      const answer = await fetch(`${server.url}/v1/completions`, { method: "POST", headers, body });
      expect(((await answer.json()) as Json).model).toBe("one");
      expect((await run("unload", "one")).stdout).toMatch(/^one is unloaded: .* came back\.\n$/);
      expect(listEngines(server.pid)).toEqual([]);
      const table = await run("ps");
      expect(table.stdout).toContain("MODEL");
      const unknown = await run("load", "nobody");
      expect([unknown.code === 0, unknown.stderr.includes("nobody")]).toEqual([false, true]);
    } finally {
      await server.stop();
    }
  },
  WAIT_MS,
);
