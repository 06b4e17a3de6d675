// From a SafeTensors folder to an answer, with the compiled binary alone: the command makes a file that is served, and the
// folder itself is served too.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { homeEnvironment, isRunning, makeFolder, runBinary, startBinary, waitFor } from "../support/binary.ts";
import { listChildren, listConverters } from "../support/converting-child.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import type { Json } from "../support/http-app.ts";
import { writeSparseFolder } from "../support/sparse-folder.ts";
import { TINY, writeTinyFolder } from "../support/tiny-decoders.ts";

test.each(["q8_0", "q4_k_m"])(
  "a folder is converted to %s and served",
  async (outType) => {
    using home = makeFolder();
    const source = join(home.path, "Tiny");
    writeTinyFolder(source, { ...TINY, architecture: "Qwen3ForCausalLM", headLength: 32, parts: 2 }, tinyTokenizer());
    const env = homeEnvironment(home.path);
    const converted = await runBinary(["convert", source, "--outtype", outType], { env, cwd: home.path });
    expect(converted).toMatchObject({ code: 0 });
    const path = converted.stdout.trim();
    expect(path).toBe(join(home.path, ".local/share/ml-offload/models", `Tiny-${outType.toUpperCase()}.gguf`));
    const server = await startBinary({ args: ["--model", path] });
    try {
      const response = await fetch(`${server.url}/v1/completions`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ model: `Tiny-${outType.toUpperCase()}`, prompt: "the", max_tokens: 4, temperature: 0 }),
      });
      expect(response.status).toBe(200);
      const { usage } = (await response.json()) as { usage: Record<string, number> };
      // "the" is one token of the converted vocabulary.
      expect(usage).toMatchObject({ prompt_tokens: 1 });
    } finally {
      await server.stop();
    }
  },
  120_000,
);

test("a folder is served as it is: the server converts it in a process of its own", async () => {
  using home = makeFolder();
  const source = join(home.path, "Tiny");
  writeTinyFolder(source, TINY, tinyTokenizer());
  const server = await startBinary({ args: ["--model", source] });
  try {
    const response = await fetch(`${server.url}/v1/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ model: "Tiny", prompt: "the", max_tokens: 4 }),
    });
    expect(response.status).toBe(200);
    const { data } = (await (await fetch(`${server.url}/v1/models`)).json()) as { data: object[] };
    expect(data).toMatchObject([{ id: "Tiny", conversion: "done" }]);
  } finally {
    await server.stop();
  }
}, 120_000);

test("exit codes and messages", async () => {
  using home = makeFolder();
  const source = join(home.path, "Odd");
  const config = { architectures: ["FooForCausalLM"] };
  writeTinyFolder(source, { ...TINY, config }, tinyTokenizer());
  const refused = await runBinary(["convert", source]);
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toContain(
    "error: the architecture FooForCausalLM is not converted\nhint: These are: LlamaFor",
  );
  expect(await runBinary(["convert", source, "--outtype", "q4_k_x"])).toMatchObject({ code: 2, stdout: "" });
  expect(await runBinary(["convert"])).toMatchObject({ code: 2, stdout: "" });
}, 60_000);

/** Made once: to fill it takes longer than to convert it. */
const large = mkdtempSync(join(tmpdir(), "mlo-large-"));
afterAll(() => rmSync(large, { recursive: true, force: true }));
const makeLarge = once(() => writeSparseFolder(large));

function once(run: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) run();
    isDone = true;
  };
}

test.skipIf(process.platform !== "linux").each(["write", "quantize"] as const)(
  "a conversion that is cancelled in its phase %s ends with all its processes, and leaves nothing",
  async (phase) => {
    using home = makeFolder();
    const data = join(home.path, "data");
    const models = join(data, "ml-offload/models");
    makeLarge();
    const server = await startBinary({ env: { XDG_DATA_HOME: data } });
    const ask = async (method: string, path: string, body?: object): Promise<{ status: number; json: Json }> => {
      const response = await fetch(server.url + path, { method, ...(body ? { body: JSON.stringify(body) } : {}) });
      return { status: response.status, json: await response.json() };
    };
    try {
      const { json: job } = await ask("POST", "/api/models/convert", { source: large, outtype: "q4_k_m" });
      const isThere = async (): Promise<boolean> => {
        const [now] = (await ask("GET", "/api/models/convert")).json.conversions;
        if (now.state !== "queued" && now.state !== "running") throw new Error(`too late: it is ${now.state}`);
        return now.phase === phase && now.doneBytes > 0;
      };
      await waitFor(`the phase ${phase}`, isThere);
      const pids = listConverters(server.pid);
      expect(pids).toHaveLength(1);
      const workers = pids.flatMap(listChildren);
      expect(workers).toHaveLength(phase === "quantize" ? 1 : 0);
      const ended = await ask("DELETE", `/api/models/convert/${job.id}`);
      expect(ended).toMatchObject({ status: 200, json: { state: "cancelled", error: { code: "cancelled" } } });
      expect(listConverters(server.pid)).toEqual([]);
      await waitFor("its worker to be gone", async () => !(await Promise.all(workers.map(isRunning))).includes(true));
      expect(readdirSync(models)).toEqual([]);
      // Cancelled again it stays as it is.
      expect((await ask("DELETE", `/api/models/convert/${job.id}`)).json.state).toBe("cancelled");
      expect((await ask("GET", "/api/health")).json.status).toBe("healthy");
    } finally {
      await server.stop();
    }
  },
  120_000,
);
