import { expect, test } from "bun:test";
import { Type } from "@sinclair/typebox";
import { BodyReader } from "../../src/api/body.ts";
import { COMPONENTS } from "../../src/api/openapi.ts";
import { makeCard } from "../support/fake-inference.ts";
import { createTestApp, type Json, readJson } from "../support/http-app.ts";

const EXTERNAL = /(?:https?:)?\/\/[a-z0-9]/i;

async function readDocument(): Promise<Json> {
  const { get } = createTestApp();
  return readJson(await get("/swagger/json"));
}

function listOperations(document: Json): { path: string; method: string; operation: Json }[] {
  return Object.entries<Json>(document.paths).flatMap(([path, item]) =>
    Object.entries<Json>(item).map(([method, operation]) => ({ path, method, operation })),
  );
}

test("the document has every route of the app, and nothing else", async () => {
  const { app } = createTestApp();
  const wanted = app.routes().map(({ method, path }) => `${method} ${path.replace(/:\w+/g, "*")}`);
  const found = listOperations(await readDocument()).map(
    ({ path, method }) => `${method.toUpperCase()} ${path.replace(/\{\w+\}/g, "*")}`,
  );
  expect(found.sort()).toEqual(wanted.sort());
  expect(found).toContain("POST /v1/chat/completions");
  expect(found).toContain("GET /v1/models/*");
});

test("every operation is complete: id, summary, tag, reply schema, errors, and a body's examples", async () => {
  const document = await readDocument();
  const operations = listOperations(document);
  expect(new Set(operations.map(({ operation }) => operation.operationId)).size).toBe(operations.length);
  for (const { path, method, operation } of operations) {
    const at = `${method} ${path}`;
    expect(operation.summary, at).toBeString();
    expect(operation.tags, at).toHaveLength(1);
    expect(Object.keys(operation.responses), at).toContainEqual(expect.stringMatching(/^(101|20[04])$/));
    expect(Object.keys(operation.responses), at).toContain("403");
    for (const response of Object.values<Json>(operation.responses)) {
      expect(response.description, at).toBeString();
      for (const media of Object.values<Json>(response.content ?? {})) expect(media.schema, at).toBeDefined();
    }
    if (method === "post") expect(Object.keys(operation.responses), at).toContain("400");
    const placeholders = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    const described = (operation.parameters ?? []).filter((parameter: Json) => parameter.in === "path");
    expect(
      described.map((parameter: Json) => parameter.name),
      at,
    ).toEqual(placeholders);
    for (const parameter of described)
      expect(parameter, at).toMatchObject({ required: true, example: expect.any(String) });
  }
});

test("every reference leads to a schema, and every schema is referred to", async () => {
  const document = await readDocument();
  const text = JSON.stringify(document.paths);
  const referred = new Set([...text.matchAll(/#\/components\/schemas\/(\w+)/g)].map((match) => match[1]));
  expect([...referred].sort() as string[]).toEqual(Object.keys(document.components.schemas).sort());
});

test("the examples pass the checks and run against the demo model", async () => {
  const { post, inference } = createTestApp();
  const [demo] = inference.cards;
  const { id } = await readJson(await post("/v1/conversations", {}));
  const operations = listOperations(await readDocument()).filter(
    ({ method, operation }) => method === "post" && operation.requestBody !== undefined,
  );
  expect(operations).toHaveLength(39);
  for (const { path, operation } of operations) {
    // The kinds of models that the demo is not.
    const changes = path.includes("rerank") ? { embeddingPooling: "rank" as const } : demo;
    inference.cards = [makeCard(path.endsWith("/convert") ? { conversion: "needed" } : changes)];
    const { schema, examples } = operation.requestBody.content["application/json"];
    const component = COMPONENTS[schema.$ref.split("/").at(-1)];
    for (const { value } of Object.values<Json>(examples)) {
      // Nobody downloads the demo model.
      const named = component?.properties?.model !== undefined && path !== "/api/pull";
      if (named) expect(value.model).toBe("demo");
      const request = new Request("http://localhost", { method: "POST", body: JSON.stringify(value) });
      if (component === undefined) throw new Error(`${schema.$ref} is missing`);
      const reader = Array.isArray(value)
        ? new BodyReader(Type.Object({ items: component }), { arrayAs: "items" })
        : new BodyReader(component);
      await reader.read(request, 10_000);
      expect((await post(path.replace("{conversation_id}", id), value)).status).toBe(200);
    }
  }
});

test("answers have the documented shapes", async () => {
  const { get, post, inference } = createTestApp();
  const check = async (name: string, response: Response) => {
    const component = COMPONENTS[name];
    if (component === undefined) throw new Error(`${name} is missing`);
    const body = JSON.stringify(await readJson(response));
    // The reader drops nulls, which the replies' schemas want: so it is asked here without it.
    const { Value } = await import("@sinclair/typebox/value");
    expect([...Value.Errors(component, JSON.parse(body))], name).toEqual([]);
  };
  const messages = [{ role: "user", content: "x" }];
  await check("LoraAdapterListReply", await get("/lora-adapters"));
  await check("LoraScalesReply", await post("/lora-adapters", []));
  await check("RootReply", await get("/"));
  await check("HealthReply", await get("/health"));
  await check("BackendReply", await get("/api/backend/info"));
  await check("CacheListReply", await get("/api/cache"));
  await check("ModelListReply", await get("/v1/models"));
  await check("ModelReply", await get("/v1/models/demo"));
  await check("ConversionListReply", await get("/api/models/convert"));
  await check("ChatReply", await post("/v1/chat/completions", { messages }));
  await check("ChatReply", await post("/v1/chat/completions", { messages, n: 2 }));
  await check("CompletionReply", await post("/v1/completions", { prompt: "x" }));
  await check("CompletionReply", await post("/v1/completions", { prompt: ["x", [1]], n: 2 }));
  await check("EmbeddingReply", await post("/v1/embeddings", { input: "x" }));
  await check("CompletionReply", await post("/v1/completions", { prompt: "x", echo: true, logprobs: 2 }));
  await check("MessageReply", await post("/v1/messages", { messages, max_tokens: 5 }));
  await check("CountTokensReply", await post("/v1/messages/count_tokens", { messages }));
  const version = { "anthropic-version": "2023-06-01" };
  await check("AnthropicModelListReply", await get("/v1/models", version));
  await check("AnthropicModelReply", await get("/v1/models/demo", version));
  await check("AnthropicErrorReply", await get("/nope", version));
  const stored = await post("/v1/responses", { input: "x" });
  const { id } = await readJson(stored.clone());
  await check("ResponseReply", stored);
  await check("ResponseReply", await post("/v1/responses", { input: "x", background: true }));
  await check("ResponseReply", await get(`/v1/responses/${id}`));
  await check("ItemListReply", await get(`/v1/responses/${id}/input_items`));
  await check("InputTokensReply", await post("/v1/responses/input_tokens", { input: "x" }));
  const conversation = await post("/v1/conversations", { items: [{ id: "msg_1", role: "user", content: "x" }] });
  const path = `/v1/conversations/${(await readJson(conversation.clone())).id}`;
  await check("ConversationReply", conversation);
  await check("ItemListReply", await get(`${path}/items`));
  await check("ResponseItem", await get(`${path}/items/msg_1`));
  await check("InfillReply", await post("/infill", { input_prefix: "x", input_suffix: "y" }));
  const lone = { stream: false, messages };
  await check("OllamaChatReply", await post("/api/chat", lone));
  await check("OllamaChatReply", await post("/api/chat", { model: "demo" }));
  await check("OllamaGenerateReply", await post("/api/generate", { prompt: "x", stream: false }));
  await check("OllamaEmbedReply", await post("/api/embed", { input: "x" }));
  await check("OllamaEmbeddingsReply", await post("/api/embeddings", { prompt: "x" }));
  await check("OllamaShowReply", await post("/api/show", { model: "demo" }));
  await check("OllamaTagsReply", await get("/api/tags"));
  await check("OllamaPsReply", await get("/api/ps"));
  await check("OllamaVersionReply", await get("/api/version"));
  await check("OllamaErrorReply", await post("/api/show", {}));
  await check("TokenizeReply", await post("/tokenize", { content: "x" }));
  await check("TokenizeReply", await post("/tokenize", { content: "xé", with_pieces: true }));
  await check("DetokenizeReply", await post("/detokenize", { tokens: [120] }));
  await check("ApplyTemplateReply", await post("/apply-template", { messages }));
  inference.cards = [makeCard({ embeddingPooling: "rank" })];
  await check("RerankReply", await post("/v1/rerank", { query: "x", documents: ["y"], return_documents: true }));
  await check("ErrorReply", await get("/nope"));
});

test("neither the document nor the page names another host", async () => {
  const { get } = createTestApp();
  expect(JSON.stringify(await readDocument())).not.toMatch(EXTERNAL);
  const page = await get("/swagger");
  expect(page.headers.get("Content-Type")).toStartWith("text/html");
  expect(page.headers.get("Content-Security-Policy")).toContain("default-src 'self'");
  expect(await page.text()).not.toMatch(EXTERNAL);
});

test("everything that the page loads comes from us", async () => {
  const { get } = createTestApp();
  const page = await (await get("/swagger")).text();
  const links = [...page.matchAll(/(?:href|src)="([^"]+)"/g)].map((match) => match[1] ?? "");
  expect(links).toHaveLength(4);
  for (const link of links) {
    const response = await get(link);
    expect(response.status).toBe(200);
    const bytes = (await response.bytes()).byteLength;
    expect(bytes).toBeGreaterThan(link.endsWith("bundle.js") ? 1_000_000 : 100);
  }
  const start = await (await get("/swagger/assets/start.js")).text();
  expect(start).toContain("validatorUrl: null");
  expect(start).not.toMatch(EXTERNAL);
});

test("no other file can be had that way", async () => {
  const { get } = createTestApp();
  for (const name of ["nope.js", "..%2F..%2Fpackage.json", "constructor", ""]) {
    expect((await get(`/swagger/assets/${name}`)).status).toBe(404);
  }
});
