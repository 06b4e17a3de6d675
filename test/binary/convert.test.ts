// From a SafeTensors folder to an answer, with the compiled binary alone: the command makes a file that is served, and the
// folder itself is served too.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { homeEnvironment, makeFolder, runBinary, startBinary } from "../support/binary.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
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
