// The search of the Hub: what is asked, what is told of each repository, and answers that are none.

import { expect, test } from "bun:test";
import { renderHits } from "../../src/commands/search.ts";
import { Hub } from "../../src/hub/hub.ts";
import type { Fetch } from "../../src/hub/requester.ts";
import { AppError } from "../../src/protocol/errors.ts";

const MODELS = [
  { id: "owner/big-GGUF", downloads: 1234567, likes: 5, gated: false, lastModified: "2026-01-02T03:04:05.000Z" },
  { id: "owner/gated-GGUF", downloads: 10, likes: 0, gated: "manual", lastModified: "soon" },
  { id: "../../etc", downloads: 1, likes: 0, gated: false, lastModified: "2026-01-02T03:04:05.000Z" },
  { id: "owner/none", downloads: "many", likes: null, gated: false },
];
const FILES = [
  { type: "file", path: "m-Q8_0.gguf", size: 8e9 },
  { type: "file", path: "m-Q4_0.gguf", size: 4e9 },
];

function searchWith(answer: (url: string) => Response, memoryBytes: number | null = 7e9) {
  const asked: string[] = [];
  const fetch: Fetch = async (url) => {
    asked.push(url);
    return answer(url);
  };
  const settings = { endpoint: "https://hub.test", token: null, offline: false };
  const limits = { backoffMs: 1, backoffMsMax: 1 };
  const hub = new Hub({ settings, root: "/nowhere", fetch, limits, availableMemoryBytes: () => memoryBytes });
  const signal = new AbortController().signal;
  return { asked, run: () => hub.search({ words: "big model", task: "chat", limit: 4, signal }) };
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
