// Other people's tools over our OpenAPI document: a validator takes it, and the client that a generator makes of it
// compiles under strict settings and reaches the app.

import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import Ajv2020 from "ajv/dist/2020.js";
import { createTestApp, type Json, readJson } from "../support/http-app.ts";

/** In the project: the generated code imports its runtime from node_modules. */
const BUILD = join(import.meta.dir, "../../build");

/** What somebody would write over the generated functions. Its types are what is checked of it. */
const USE = `
import {
  createChatCompletion, createMessage, defaults, getModel, listModels, ollamaChat, type ChatRequest,
} from "./client.ts";

export async function useClient(fetch: typeof globalThis.fetch) {
  defaults.baseUrl = "http://localhost";
  defaults.fetch = fetch;
  const request: ChatRequest = { model: "demo", messages: [{ role: "user", content: "Hello!" }], max_tokens: 8 };
  const chat = await createChatCompletion(request, { xMloPriority: "batch" });
  const text: string | null | undefined = chat.status === 200 ? chat.data.choices[0]?.message.content : null;
  const message = await createMessage({ model: "demo", max_tokens: 8, messages: [] });
  const refusal: string | null = message.status === 400 ? message.data.error.param : null;
  const list = await listModels();
  const count: number = list.status === 200 ? list.data.data.length : 0;
  const lost = await getModel("nope");
  const code: string | null = lost.status === 404 ? lost.data.error.code : null;
  const ollama = await ollamaChat({ model: "demo", messages: [{ role: "user", content: "Hello!" }], stream: false });
  const isDone: boolean | null = ollama.status === 200 ? ollama.data.done : null;
  // @ts-expect-error: messages are required.
  const wrong: ChatRequest = { model: "demo" };
  return { text, refusal, count, code, isDone, wrong };
}
`;

const TSCONFIG = {
  compilerOptions: {
    target: "ESNext",
    module: "ESNext",
    moduleResolution: "bundler",
    lib: ["ESNext", "DOM", "DOM.Iterable"],
    types: [],
    strict: true,
    noUncheckedIndexedAccess: true,
    allowImportingTsExtensions: true,
    noEmit: true,
    skipLibCheck: true,
  },
  include: ["*.ts"],
};

async function readDocument(): Promise<Json> {
  return readJson(await createTestApp().get("/swagger/json"));
}

test("the document is OpenAPI 3.1, and its schemas are JSON schemas", async () => {
  const document = await readDocument();
  const validator = new Validator();
  expect(await validator.validate(document)).toEqual({ valid: true });
  expect(validator.version).toBe("3.1");
  // OpenAPI's own schema leaves these to whoever reads them.
  const ajv = new Ajv2020({ strict: false });
  for (const [name, schema] of Object.entries<Json>(document.components.schemas)) {
    expect(ajv.validateSchema(schema), name).toBe(true);
  }
});

test("a document that is broken would not pass", async () => {
  const document = await readDocument();
  document.paths["/health"].get.responses = {};
  document.paths["/"].get.parameters = [{ name: "x", in: "nowhere" }];
  expect((await new Validator().validate(document)).valid).toBe(false);
  expect(new Ajv2020({ strict: false }).validateSchema({ type: "text" })).toBe(false);
});

test("client code generated from it compiles, and reaches every dialect", async () => {
  mkdirSync(BUILD, { recursive: true });
  const folder = mkdtempSync(join(BUILD, "client-"));
  try {
    await Bun.write(join(folder, "openapi.json"), JSON.stringify(await readDocument()));
    await run(folder, [require.resolve("oazapfts").replace(/index\.\w+$/, "cli.js"), "openapi.json", "client.ts"]);
    await Bun.write(join(folder, "use.ts"), USE);
    await Bun.write(join(folder, "tsconfig.json"), JSON.stringify(TSCONFIG));
    await run(folder, ["x", "tsc", "--project", folder]);
    const { app } = createTestApp();
    const { useClient } = await import(join(folder, "use.ts"));
    const fetch = (url: string, init: RequestInit) => app.handle(new Request(url, init));
    expect(await useClient(fetch)).toMatchObject({
      text: "Hello",
      refusal: "messages",
      count: 1,
      code: "model_not_found",
      isDone: true,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);

async function run(cwd: string, args: string[]): Promise<void> {
  const child = Bun.spawn([process.execPath, ...args], { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, faults] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  expect(await child.exited, `${args.join(" ")}\n${out}${faults}`).toBe(0);
}
