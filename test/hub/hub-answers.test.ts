// What the Hub may answer besides files: gates, refusals, listings that are none. Each has its error, and none leads out
// of the models folder.

import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hub } from "../../src/hub/hub.ts";
import { explainRefusal, readRetryAfter } from "../../src/hub/refusal.ts";
import type { Fetch } from "../../src/hub/requester.ts";
import { AppError } from "../../src/protocol/errors.ts";

const REPO = "owner/tiny-GGUF";

interface Answer {
  status?: number;
  headers?: Record<string, string>;
  body?: string;
}

/** The failure of a pull where every request gets this answer, and the addresses that were asked. */
async function pullFrom(
  answer: Answer | ((url: string) => Answer),
  { token = null, offline = false, largestBytes = null as number | null, name = REPO } = {},
) {
  const root = mkdtempSync(join(tmpdir(), "mlo-hub-"));
  const asked: { url: string; authorization: string | undefined }[] = [];
  const fetch: Fetch = async (url, init) => {
    asked.push({ url, authorization: (init.headers as Record<string, string>).Authorization });
    const { status = 200, headers = {}, body = "" } = typeof answer === "function" ? answer(url) : answer;
    return new Response(body, { status, headers });
  };
  const settings = { endpoint: "https://hub.test", token, offline };
  const limits = { backoffMs: 1, backoffMsMax: 1 };
  const hub = new Hub({ settings, root, fetch, limits, largestModelBytes: () => largestBytes });
  let error: AppError | null = null;
  try {
    await hub.pull(name, { signal: new AbortController().signal, onEvent: () => {} });
  } catch (thrown) {
    if (!(thrown instanceof AppError)) throw thrown;
    error = thrown;
  }
  return { error, asked, left: readdirSync(root) };
}

const listing = (...files: { path: unknown; size?: unknown; type?: string; lfs?: unknown }[]): Answer => ({
  body: JSON.stringify(files.map((file) => ({ type: "file", size: 5, oid: "0", ...file }))),
});

describe("access", () => {
  test("to a gated repository without a token, and with one whose account was not let in", async () => {
    const gate = { status: 401, headers: { "X-Error-Code": "GatedRepo" } };
    const { error, asked } = await pullFrom(gate);
    expect(error).toMatchObject({ code: "unauthorized", message: expect.stringContaining("gated") });
    expect(error?.hint).toContain("https://hub.test/owner/tiny-GGUF");
    expect(error?.hint).toContain("HF_TOKEN");
    expect(asked).toHaveLength(1);
    const refused = explainRefusal(403, new Headers(gate.headers), {
      what: REPO,
      page: "https://hub.test/x",
      hasToken: true,
    });
    expect(refused).toMatchObject({ code: "forbidden", hint: expect.stringContaining("with the account of HF_TOKEN") });
  });

  test.each([
    [401, { "X-Error-Code": "RepoNotFound" }, "model_not_found"],
    [404, {}, "model_not_found"],
    [404, { "X-Error-Code": "RevisionNotFound" }, "model_not_found"],
    [410, {}, "model_not_found"],
    [401, {}, "unauthorized"],
    [403, { "X-Error-Message": "Not for you" }, "forbidden"],
    [400, {}, "download_failed"],
    [451, {}, "download_failed"],
    [501, {}, "download_failed"],
  ] as const)("refused with %d %p is %s, at once", async (status, headers, code) => {
    const { error, asked, left } = await pullFrom({ status, headers });
    expect([error?.code, asked.length, left]).toEqual([code, 1, []]);
    if ("X-Error-Message" in headers) expect(error?.message).toContain("Not for you");
  });

  test("offline nothing is asked", async () => {
    const { error, asked } = await pullFrom({}, { offline: true });
    expect([error?.code, error?.message, asked]).toEqual([
      "invalid_request",
      expect.stringContaining("HF_HUB_OFFLINE"),
      [],
    ]);
  });

  test.each([
    ["2", 2000],
    ["1.5", 1500],
    ["Sun, 22 Nov 2026 00:00:10 GMT", 10_000],
    ["Sun, 22 Nov 2026 00:00:00 GMT", 0],
    ["soon", null],
    ["99999999999", null],
  ])("Retry-After: %s", (text, expected) => {
    const now = Date.parse("2026-11-22T00:00:00Z");
    expect(readRetryAfter(new Headers({ "Retry-After": text }), now)).toBe(expected);
  });

  test("the Hub's own RateLimit says when", () => {
    expect(readRetryAfter(new Headers({ RateLimit: '"api";r=0;t=55' }), 0)).toBe(55_000);
    expect(readRetryAfter(new Headers(), 0)).toBeNull();
  });
});

describe("a listing", () => {
  test.each([
    ["HTML", "<html>"],
    ["half a page", '[{"type": "file", "pa'],
    ["an object", '{"error": "x"}'],
    ["numbers", "[1, 2]"],
    ["nothing", ""],
    ["entries without paths", '[{"type": "file"}]'],
  ])("that is %s is told", async (_name, body) => {
    const { error } = await pullFrom({ body });
    expect(error).toMatchObject({
      code: "download_failed",
      message: expect.stringContaining("list of owner/tiny-GGUF's files"),
    });
  });

  test("that is too long, or has no end, is left", async () => {
    expect((await pullFrom({ body: `["${"x".repeat(9_000_000)}"]` })).error?.message).toContain("too long");
    const next = { Link: '<https://hub.test/api/models/owner/tiny-GGUF/tree/main?cursor=x>; rel="next"' };
    const { error, asked } = await pullFrom({ ...listing({ path: "a.txt" }), headers: next });
    expect([error?.code, asked.length]).toEqual(["invalid_request", 40]);
  });

  test("whose next page is elsewhere does not get the token there", async () => {
    const { asked } = await pullFrom(
      (url) =>
        url.startsWith("https://hub.test")
          ? { ...listing({ path: "a.txt" }), headers: { Link: '<https://evil.test/steal>; rel="next"' } }
          : listing({ path: "b.txt" }),
      { token: "hf_secret" as never },
    );
    expect(asked.map(({ url, authorization }) => [new URL(url).host, authorization])).toEqual([
      ["hub.test", "Bearer hf_secret"],
      ["evil.test", undefined],
    ]);
  });

  test.each(["file:///etc/passwd", "data:application/json,[]", "next page", "//"])(
    "whose next page is %s is left",
    async (next) => {
      const { error, asked } = await pullFrom({
        ...listing({ path: "a.txt" }),
        headers: { Link: `<${next}>; rel="next"` },
      });
      expect([error?.code, asked.length]).toEqual(["model_not_found", 1]);
    },
  );

  test("with paths that lead elsewhere, or sizes that are none, has no models", async () => {
    const paths = [
      "../../x.gguf",
      "/etc/x.gguf",
      "a/../b.gguf",
      ".hidden.gguf",
      "a\\b.gguf",
      "a\u0000.gguf",
      "a//b.gguf",
    ];
    const files = [...paths.map((path) => ({ path })), { path: "x.gguf", size: -1 }, { path: "y.gguf", size: "5" }];
    const { error, left } = await pullFrom(listing(...files, { path: `${"n".repeat(200)}.gguf` }));
    expect([error?.code, error?.message, left]).toEqual([
      "model_not_found",
      expect.stringContaining("no GGUF file"),
      [],
    ]);
  });

  test("without the quantisation that was asked for tells those that there are", async () => {
    const files = [
      { path: "m-Q4_0.gguf", size: 4e9 },
      { path: "m-Q8_0.gguf", size: 8e9 },
    ];
    const { error } = await pullFrom(listing(...files), { name: `${REPO}:Q5_0` });
    expect(error).toMatchObject({ code: "model_not_found", hint: "It has Q4_0 (4.0 GB), Q8_0 (8.0 GB)." });
    const large = await pullFrom(listing(...files), { largestBytes: 1.4e9 });
    expect(large.error).toMatchObject({ code: "out_of_memory", hint: expect.stringContaining("Q4_0 (4.0 GB)") });
  });
});
