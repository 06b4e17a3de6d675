// Every error that the OpenAPI document names, on every route: brought about through the app, with its status, its code
// and the envelope of the route's dialect. A route or a code that is new in the document is asked for here by itself.

import { describe, expect, test } from "bun:test";
import { expectError, listErrorRoutes } from "../support/error-routes.ts";
import { PROVOCATIONS } from "../support/provocations.ts";
import { UPLOAD_PROVOCATIONS } from "../support/upload-provocations.ts";

const ROUTES = await listErrorRoutes();

/** These give what is in the program: nothing on their way can fail. */
const CONSTANT = /^GET \/(api\/version|swagger.*)?$/;
/** They look into a table in memory and ask nobody. */
const TABLE = /^(GET|DELETE) \/api\/streams\//;

describe.each(ROUTES)("$name", (route) => {
  const codes = route.codes.filter(
    (code) => code !== "internal" || !(CONSTANT.test(route.name) || TABLE.test(route.name)),
  );
  test.each(codes)("%s", async (code) => {
    const provoke = UPLOAD_PROVOCATIONS[route.name]?.[code] ?? PROVOCATIONS[code];
    if (provoke === undefined) throw new Error(`nobody knows how ${code} comes about: test/support/provocations.ts`);
    // Its query belongs to Anthropic's dialect, and so does the answer to a mistake in it.
    const dialect = route.name === "GET /v1/models" && code === "invalid_request" ? "anthropic" : route.dialect;
    await expectError(dialect, await provoke(route), code);
  });
});

test("the document names the errors of every route", () => {
  expect(ROUTES.length).toBeGreaterThan(50);
  for (const { name, codes } of ROUTES) expect([name, codes.includes("forbidden")]).toEqual([name, true]);
  const dialects = new Set(ROUTES.map(({ dialect }) => dialect));
  expect([...dialects].sort()).toEqual(["anthropic", "ollama", "openai"]);
});
