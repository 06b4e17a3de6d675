// `best_of` by the official client against the compiled binary: the answer that is sent is the likeliest of those that the
// same seeds give, by the model's own log probabilities. And embeddings of fewer dimensions, as it asks for them.

import { afterAll, beforeAll, expect, test } from "bun:test";
import OpenAI, { BadRequestError } from "openai";
import { startBinary } from "../support/binary.ts";
import { judgeFetch } from "../support/judged-fetch.ts";
import type { Server } from "../support/server.ts";

let server: Server;
let client: OpenAI;

beforeAll(async () => {
  server = await startBinary();
  const fetch = await judgeFetch(server.url);
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "unused", maxRetries: 0, fetch });
});
afterAll(() => server.stop());

// The hotter, the less does rounding, which depends on who shares a batch, weigh against the seed.
const HOT = { model: "demo", max_tokens: 8, temperature: 100, top_p: 1, ...{ top_k: 0, min_p: 0 } };

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

test.each([{}, { echo: true }, { logprobs: 2 }])("the likeliest of the candidates are sent, with %j", async (asks) => {
  const body = { ...HOT, prompt: ["One, two,", "Red, green, and blue,"], seed: 3 };
  const all = await client.completions.create({ ...body, n: 5, logprobs: 0 });
  const ranked = [0, 5].map((at) =>
    all.choices
      .slice(at, at + 5)
      .map(({ text, logprobs }) => ({ text, mean: mean(logprobs?.token_logprobs ?? []) }))
      .sort((a, b) => b.mean - a.mean),
  );
  const best = await client.completions.create({ ...body, ...asks, n: 2, best_of: 5 });
  expect(best.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
  for (const [i, choice] of best.choices.entries()) {
    const wanted = ranked[Math.floor(i / 2)]?.[i % 2]?.text ?? "-";
    expect(choice.text).toEndWith(wanted);
    expect(choice.logprobs === null).toBe(!("logprobs" in asks));
  }
  expect(best.usage?.completion_tokens).toBe(all.usage?.completion_tokens as number);
});

test("it is no stream", async () => {
  const refused = await client.completions
    .create({ ...HOT, prompt: "a", best_of: 2, stream: true })
    .catch((error) => error);
  expect(refused).toBeInstanceOf(BadRequestError);
  expect(refused).toMatchObject({ code: "invalid_request", param: "best_of" });
});

test("embeddings of fewer dimensions are the beginning of the whole ones, at length 1", async () => {
  const embed = async (asks: object): Promise<number[]> => {
    const reply = await client.embeddings.create({ model: "demo", input: "Hello!", ...asks });
    return reply.data[0]?.embedding ?? [];
  };
  const [whole, cut] = [await embed({}), await embed({ dimensions: 10 })];
  expect(cut).toHaveLength(10);
  const scale = Math.hypot(...whole.slice(0, 10));
  for (const [i, value] of cut.entries()) expect(value).toBeCloseTo((whole[i] ?? 0) / scale, 4);
  expect(await embed({ dimensions: whole.length })).toHaveLength(whole.length);
  const more = await embed({ dimensions: whole.length + 1 }).catch((error) => error);
  expect(more).toBeInstanceOf(BadRequestError);
});
