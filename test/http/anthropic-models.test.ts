// The models in Anthropic's shape: for clients that name a version of its API, page by page.

import { expect, test } from "bun:test";
import { makeCard } from "../support/fake-inference.ts";
import { createTestApp, readJson } from "../support/http-app.ts";
import { readMessageError } from "../support/messages.ts";

const HEADERS = { "anthropic-version": "2023-06-01", "x-api-key": "unused" };

function makeApp(count: number) {
  const made = createTestApp();
  made.inference.cards = Array.from({ length: count }, (_, i) => makeCard({ id: `m${i}`, isDefault: i === 0 }));
  return { ...made, list: (query: string) => made.get(`/v1/models${query}`, HEADERS) };
}

test("a model says what it takes; unknown is null", async () => {
  const { get, inference } = createTestApp();
  inference.cards = [makeCard({ id: "owner/repo:Q4_K_M", aliases: ["repo"], contextLength: null })];
  for (const path of [
    "/v1/models/owner/repo:Q4_K_M",
    "/v1/models/owner%2Frepo%3AQ4_K_M?beta=true",
    "/v1/models/repo",
  ]) {
    expect(await readJson(await get(path, HEADERS))).toEqual({
      id: "owner/repo:Q4_K_M",
      type: "model",
      display_name: "owner/repo:Q4_K_M",
      created_at: "2023-11-14T22:13:20Z",
      max_input_tokens: null,
      max_tokens: null,
      lifecycle: "active",
    });
  }
  inference.cards = [makeCard()];
  expect(await readJson(await get("/v1/models/demo", HEADERS))).toMatchObject({ max_input_tokens: 320 });
});

test.each([
  ["", 0, 20, true],
  ["?after_id=", 0, 20, true],
  ["?limit=2", 0, 2, true],
  ["?limit=1000", 0, 25, false],
  ["?limit=5&after_id=m19", 20, 25, false],
  ["?limit=4&after_id=m19", 20, 24, true],
  ["?after_id=m24", 25, 25, false],
  ["?limit=5&before_id=m20", 15, 20, true],
  ["?limit=5&before_id=m3", 0, 3, false],
])("the page %p", async (query, from, to, hasMore) => {
  const { list } = makeApp(25);
  const page = await readJson(await list(query));
  const ids = Array.from({ length: to - from }, (_, i) => `m${from + i}`);
  expect(page.data.map(({ id }: { id: string }) => id)).toEqual(ids);
  expect(page).toMatchObject({ has_more: hasMore, first_id: ids[0] ?? null, last_id: ids.at(-1) ?? null });
});

test.each([
  ["?limit=0", "limit"],
  ["?limit=1001", "limit"],
  ["?limit=many", "limit"],
  ["?limit=-1", "limit"],
  ["?limit=", "limit"],
  ["?limit=2&limit=2", "limit"],
  ["?after_id=m0&after_id=m1", "after_id"],
  ["?after_id=nope", "after_id"],
  ["?before_id=nope", "before_id"],
  ["?before_id=m1&after_id=m1", "before_id"],
])("the page %p is refused", async (query, param) => {
  const { list } = makeApp(2);
  const type = "invalid_request_error";
  expect(await readMessageError(await list(query))).toEqual({ status: 400, type, code: "invalid_request", param });
});

test("without the header nothing changes, and the query is not looked at", async () => {
  const { get } = makeApp(25);
  const body = await readJson(await get("/v1/models?limit=0"));
  expect([body.object, body.data.length]).toEqual(["list", 25]);
});
