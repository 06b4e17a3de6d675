// A model that only embeds: what is longer than its batch is refused before llama.cpp would abort over it.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cacheModel } from "../support/gguf-builder.ts";
import { BERT_MEAN_SPEC } from "../support/model-specs.ts";
import { type Server, startServer } from "../support/server.ts";

let server: Server;

beforeAll(async () => {
  server = await startServer({ args: ["--model", cacheModel(BERT_MEAN_SPEC)] });
}, 120_000);

afterAll(async () => {
  await server.stop();
});

async function post(path: string, body: object): Promise<{ status: number; body: Reply }> {
  const response = await fetch(server.url + path, { method: "POST", body: JSON.stringify(body) });
  return { status: response.status, body: (await response.json()) as Reply };
}

interface Reply {
  error: { code: string; message: string; param: string | null };
  data: { embedding: number[] }[];
}

test("an input longer than the model's context is refused with both numbers, and names the input", async () => {
  const long = "word ".repeat(BERT_MEAN_SPEC.contextLength * 2);
  const { status, body } = await post("/v1/embeddings", { input: ["short", long] });
  expect(status).toBe(400);
  expect(body.error).toMatchObject({ code: "context_length_exceeded", param: "input[1]" });
  expect(body.error.message).toContain(String(BERT_MEAN_SPEC.contextLength));
});

test("the engine is still there: vectors are normalised, and the same alone and in company", async () => {
  const alone = await post("/v1/embeddings", { input: "short" });
  expect(alone.status).toBe(200);
  const vector = alone.body.data[0]?.embedding ?? [];
  expect(Math.hypot(...vector)).toBeCloseTo(1, 4);
  const input = Array.from({ length: 40 }, (_, i) => (i === 17 ? "short" : `text number ${i}, a little longer`));
  const many = await post("/v1/embeddings", { input });
  expect(many.body.data).toHaveLength(40);
  const again = many.body.data[17]?.embedding ?? [];
  expect(again.every((value, i) => Math.abs(value - (vector[i] ?? 0)) < 1e-3)).toBe(true);
});

test("dimensions are the first ones of the same vector, at length 1", async () => {
  const whole = (await post("/v1/embeddings", { input: "short" })).body.data[0]?.embedding ?? [];
  const cut = (await post("/v1/embeddings", { input: "short", dimensions: 16 })).body.data[0]?.embedding ?? [];
  expect(cut).toHaveLength(16);
  const scale = Math.hypot(...whole.slice(0, 16));
  expect(cut.every((value, i) => Math.abs(value - (whole[i] ?? 0) / scale) < 1e-5)).toBe(true);
  const more = await post("/v1/embeddings", { input: "short", dimensions: whole.length + 1 });
  expect(more).toMatchObject({ status: 400, body: { error: { code: "invalid_request", param: "dimensions" } } });
});

test("it does not generate, and says so", async () => {
  for (const [path, body] of [
    ["/v1/completions", { prompt: "a" }],
    ["/v1/chat/completions", { messages: [{ role: "user", content: "a" }] }],
  ] as const) {
    const answer = await post(path, body);
    expect(answer.status).toBe(400);
    expect(answer.body.error.code).toBe("not_supported");
  }
});
