// Files whose header claims an odd trained context: llama.cpp loads them, so they must serve, with the same context in the
// plan, on the card and in the engine.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { postJson } from "../support/completions.ts";
import { DEMO_PATH } from "../support/fake-inference.ts";
import { scanGguf } from "../support/gguf-layout.ts";
import { setNumber } from "../support/gguf-writer.ts";
import { type Server, startServer } from "../support/server.ts";

/** What the header says, and what comes of it: of the trained context and of the engine's. */
const CASES = [
  { said: 0, trained: null, context: 4096 },
  { said: 1, trained: 1, context: 1 },
  { said: 2 ** 31 - 1, trained: 2 ** 31 - 1, context: 16_384 },
  { said: 2 ** 31, trained: null, context: 4096 },
  { said: 2 ** 32 - 1, trained: null, context: 4096 },
];

let folder = "";
let server: Server;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "mlo-odd-"));
  for (const { said } of CASES) {
    const bytes = new Uint8Array(readFileSync(DEMO_PATH));
    const entry = scanGguf(bytes).metadata.find(({ key }) => key === "llama.context_length");
    setNumber(new DataView(bytes.buffer), entry?.valueAt ?? 0, "u32", said);
    writeFileSync(join(folder, `trained-${said}.gguf`), bytes);
  }
  server = await startServer({ args: ["--models-dir", folder] });
}, 120_000);

afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Card {
  id: string;
  context_length: number | null;
  trained_context_length: number | null;
}

async function readCard(id: string): Promise<Card | undefined> {
  const { data } = (await (await fetch(`${server.url}/v1/models`)).json()) as { data: Card[] };
  return data.find((card) => card.id === id);
}

describe.each(CASES)("a header that says $said", ({ said, trained, context }) => {
  const model = `trained-${said}`;

  test("is planned with a context that can be had, and llama.cpp confirms it", async () => {
    const reply = await (await postJson(`${server.url}/api/plan`, { model })).json();
    expect(reply).toMatchObject({ verdict: "fits", source: "measured", plan: { settings: { ctx: context } } });
  });

  test("is loaded with it, and tells it", async () => {
    expect(await readCard(model)).toMatchObject({ trained_context_length: trained });
    const loaded = await postJson(`${server.url}/api/models/load`, { model, wait: true });
    expect(await loaded.json()).toMatchObject({ contextLength: context });
    expect(await readCard(model)).toMatchObject({ context_length: context, trained_context_length: trained });
    const { engines } = (await (await fetch(`${server.url}/api/backend/info`)).json()) as {
      engines: { model: string; info: object }[];
    };
    expect(JSON.stringify(engines)).toContain(`"trainedContextLength":${trained}`);
  });
});

test("the one whose context is not told answers as the demo model does", async () => {
  const body = { model: "trained-0", prompt: "hello", max_tokens: 4 };
  const response = await postJson(`${server.url}/v1/completions`, body);
  expect({ status: response.status, text: await response.text() }).toMatchObject({ status: 200 });
});
