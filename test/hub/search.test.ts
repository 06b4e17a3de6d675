// The search of the Hub: what is asked, what is told of each repository, and answers that are none.

import { expect, test } from "bun:test";
import { renderHits } from "../../src/commands/search.ts";
import { Hub } from "../../src/hub/hub.ts";
import type { Fetch } from "../../src/hub/requester.ts";
import type { SearchQuery } from "../../src/hub/search.ts";
import { AppError } from "../../src/protocol/errors.ts";

const MODELS = [
  {
    id: "owner/big-GGUF",
    downloads: 1234567,
    likes: 5,
    gated: false,
    lastModified: "2026-01-02T03:04:05.000Z",
    gguf: {
      total: 8e9,
      architecture: "qwen3",
      context_length: 40960,
      chat_template: "{% if tools %}<think>{% endif %}",
    },
  },
  { id: "owner/gated-GGUF", downloads: 10, likes: 0, gated: "manual", lastModified: "soon" },
  { id: "../../etc", downloads: 1, likes: 0, gated: false, lastModified: "2026-01-02T03:04:05.000Z" },
  { id: "owner/none", downloads: "many", likes: null, gated: false },
];
const FILES = [
  { type: "file", path: "m-Q8_0.gguf", size: 8e9 },
  { type: "file", path: "m-Q4_0.gguf", size: 4e9 },
];

function searchWith(
  answer: (url: string) => Response,
  largestBytes: number | null = 4.9e9,
  more: Partial<SearchQuery> = {},
) {
  const asked: string[] = [];
  const fetch: Fetch = async (url) => {
    asked.push(url);
    return answer(url);
  };
  const settings = { endpoint: "https://hub.test", token: null, offline: false };
  const limits = { backoffMs: 1, backoffMsMax: 1 };
  const hub = new Hub({ settings, root: "/nowhere", fetch, limits, largestModelBytes: () => largestBytes });
  const signal = new AbortController().signal;
  return { asked, run: () => hub.search({ words: "big model", task: "chat", limit: 4, signal, ...more }) };
}

function answerAll(url: string): Response {
  if (url.includes("/tree/")) {
    if (url.includes("gated")) return new Response("", { status: 401, headers: { "X-Error-Code": "GatedRepo" } });
    return Response.json(url.includes("none") ? [] : FILES);
  }
  return Response.json(MODELS);
}

test("each repository is told with its models, and what fits", async () => {
  const { asked, run } = searchWith(answerAll);
  const hits = await run();
  const query = new URL(asked[0] ?? "").searchParams;
  expect([
    query.get("search"),
    query.get("filter"),
    query.get("sort"),
    query.get("pipeline_tag"),
    query.get("limit"),
  ]).toEqual(["big model", "gguf", "downloads", "text-generation", "4"]);
  expect(hits.map(({ repo }) => repo)).toEqual(["owner/big-GGUF", "owner/gated-GGUF", "owner/none"]);
  expect(hits[0]).toEqual({
    repo: "owner/big-GGUF",
    downloads: 1234567,
    likes: 5,
    gated: false,
    updatedAt: "2026-01-02T03:04:05.000Z",
    architecture: "qwen3",
    contextLength: 40960,
    parameterCount: 8e9,
    capabilities: { tools: true, reasoning: true },
    variants: [
      { tag: "Q4_0", sizeBytes: 4e9, fits: true },
      { tag: "Q8_0", sizeBytes: 8e9, fits: false },
    ],
    choice: "Q4_0",
    error: null,
  });
  expect(hits[1]).toMatchObject({
    gated: true,
    updatedAt: null,
    variants: [],
    error: expect.stringContaining("gated"),
  });
  expect(hits[2]).toMatchObject({ downloads: 0, likes: 0, updatedAt: null, variants: [], choice: null, error: null });
  expect(renderHits(hits)).toBe(
    [
      "REPOSITORY        DOWNLOADS  FITS",
      "owner/big-GGUF    1,234,567  Q4_0, 4.0 GB",
      `owner/gated-GGUF         10  ${hits[1]?.error} (gated)`,
      "owner/none                0  no models",
      "",
    ].join("\n"),
  );
});

test("without enough memory nothing is chosen, and without knowing it the largest", async () => {
  const [small] = await searchWith(answerAll, 1e9).run();
  expect(small).toMatchObject({ choice: null });
  expect(renderHits(small === undefined ? [] : [small])).toContain("none: the smallest, Q4_0, has 4.0 GB");
  expect((await searchWith(answerAll, null).run())[0]).toMatchObject({ choice: "Q8_0" });
  expect(renderHits([])).toBe("Nothing was found.\n");
});

test("by size, by fit, and by what the template speaks of", async () => {
  const found = async (more: Partial<SearchQuery>, largestBytes: number | null = 4.9e9) =>
    (await searchWith(answerAll, largestBytes, more).run()).map(({ repo, variants }) => [
      repo,
      ...variants.map(({ tag }) => tag),
    ]);
  expect(await found({ bytesMax: 5e9 })).toEqual([["owner/big-GGUF", "Q4_0"]]);
  expect(await found({ bytesMin: 5e9, bytesMax: 8e9 })).toEqual([["owner/big-GGUF", "Q8_0"]]);
  expect(await found({ bytesMin: 9e9 })).toEqual([]);
  expect(await found({ fits: true })).toEqual([["owner/big-GGUF", "Q4_0"]]);
  expect(await found({ fits: true }, 1e9)).toEqual([]);
  expect(await found({ capability: "tools" })).toEqual([["owner/big-GGUF", "Q4_0", "Q8_0"]]);
  const silent = (url: string) =>
    url.includes("/tree/") ? answerAll(url) : Response.json(MODELS.map(({ gguf: _, ...rest }) => rest));
  expect(await searchWith(silent, 4.9e9, { capability: "reasoning" }).run()).toEqual([]);
});

test("narrowed, more are looked at than are shown, a few at a time", async () => {
  const many = Array.from({ length: 20 }, (_, index) => ({ ...MODELS[0], id: `owner/m${index}-GGUF` }));
  const answer = (url: string) => (url.includes("/tree/") ? Response.json(FILES) : Response.json(many));
  const { asked, run } = searchWith(answer, null, { limit: 2, bytesMax: 5e9 });
  expect((await run()).map(({ repo }) => repo)).toEqual(["owner/m0-GGUF", "owner/m1-GGUF"]);
  expect(new URL(asked[0] ?? "").searchParams.get("limit")).toBe("10");
  expect(asked.length).toBe(3);
});

test.each([
  ["<html>", "download_failed"],
  ['{"error": "x"}', "download_failed"],
  ['[{"name": "x"}]', "download_failed"],
])("an answer of %s is told", async (body, code) => {
  const failed = await searchWith(() => new Response(body))
    .run()
    .catch((thrown: unknown) => thrown);
  expect(failed).toBeInstanceOf(AppError);
  expect((failed as AppError).code).toBe(code as AppError["code"]);
});
