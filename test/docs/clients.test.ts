// The tables of docs/clients.md are those of the schemas, and each word in them is tried: what is ignored changes nothing
// of what the engine is asked, what is refused gets an error that names the place.

import { describe, expect, test } from "bun:test";
import { NO_CAPABILITIES } from "../../src/models/capability.ts";
import { makeCard } from "../support/fake-inference.ts";
import { FIELD_SAMPLES } from "../support/field-samples.ts";
import { listFieldTables, readTables, type Status, writeTables } from "../support/field-tables.ts";
import { createTestApp, type Json, readJson, type TestApp } from "../support/http-app.ts";

const tables = await listFieldTables();

test("the page has the tables of the schemas: test/support/field-tables.ts writes them", () => {
  expect(readTables()).toBe(writeTables(tables).trim());
});

test("every field that is not wholly supported is tried", () => {
  const untried: string[] = [];
  for (const { routes, fields } of tables) {
    for (const { path, status } of fields) {
      const kind = status === "ignored" ? "ignored" : "refused";
      const isTried = routes.some((route) => FIELD_SAMPLES[route]?.[kind]?.[path] !== undefined);
      if (status !== "supported" && !isTried) untried.push(`${routes.join(", ")} ${path}: ${status}`);
    }
  }
  expect(untried).toEqual([]);
});

test("what is tried stands in the tables with its word", () => {
  const words = new Map<string, Status>();
  for (const { routes, fields } of tables) {
    for (const { path, status } of fields) for (const route of routes) words.set(`${route} ${path}`, status);
  }
  for (const [route, { ignored = {}, refused = {} }] of Object.entries(FIELD_SAMPLES)) {
    for (const path of Object.keys(ignored)) expect(words.get(`${route} ${path}`), `${route} ${path}`).toBe("ignored");
    for (const path of Object.keys(refused)) {
      expect(["in part", "refused"], `${route} ${path}`).toContain(words.get(`${route} ${path}`) ?? "nothing");
    }
  }
});

/** What the engine was asked. */
function readAsked({ inference }: TestApp): unknown {
  const generated = inference.generateCalls.map(({ model, request }) => ({ model, request }));
  return { generated, embedded: inference.embedCalls.map(({ model, inputs }) => ({ model, inputs })) };
}

async function ask(route: string, body: object): Promise<{ status: number; asked: unknown; reply: Json }> {
  const app = createTestApp();
  app.inference.cards = [
    makeCard({ capabilities: { ...NO_CAPABILITIES, chat: true, completion: true, embedding: true, infill: true } }),
  ];
  const response = await app.post(route.replace("POST ", ""), { stream: false, ...body });
  return { status: response.status, asked: readAsked(app), reply: await readJson(response) };
}

describe.each(Object.entries(FIELD_SAMPLES))("%s", (route, { body, ignored = {}, refused = {} }) => {
  test("the bare request is answered", async () => {
    expect((await ask(route, body)).status).toBe(200);
  });

  test.each(Object.entries(ignored))("ignores %s", async (_path, fields) => {
    const [bare, full] = await Promise.all([ask(route, body), ask(route, { ...body, ...fields })]);
    expect([full.status, full.asked]).toEqual([200, bare.asked]);
  });

  test.each(Object.entries(refused))("refuses %s", async (path, fields) => {
    const { status, reply } = await ask(route, { ...body, ...fields });
    expect([400, 501]).toContain(status);
    const said = JSON.stringify(reply);
    expect(said).toContain(path.split(/[.[]/)[0] ?? path);
  });
});
