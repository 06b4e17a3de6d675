// The documentation page in a real browser (Debian's chromium): it shows every route, runs an example, asks nobody but
// this server, and complains of nothing. Skipped, with the reason, where there is no chromium.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { type Browser, chromium, type Page } from "playwright-core";
import { startBinary } from "../support/binary.ts";
import type { Server } from "../support/server.ts";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const isMissing = !existsSync(CHROMIUM);
if (isMissing) console.error(`skipped: there is no ${CHROMIUM} (Debian: apt-get install chromium; or CHROMIUM=FILE)`);

/** The browser's own errands are switched off: whatever is asked is asked by the page. */
const ARGUMENTS = [
  ...["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"],
  ...["--disable-background-networking", "--disable-component-update"],
];
/** A cold browser on a busy machine. */
const PAGE_TIMEOUT_MS = 60_000;

interface OpenApi {
  paths: Record<string, Record<string, { operationId: string }>>;
}

describe.skipIf(isMissing)("/swagger in a browser", () => {
  let server: Server;
  let browser: Browser;
  let page: Page;
  const asked: string[] = [];
  const complaints: string[] = [];

  beforeAll(async () => {
    server = await startBinary();
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS, timeout: PAGE_TIMEOUT_MS });
    page = await browser.newPage();
    page.setDefaultTimeout(PAGE_TIMEOUT_MS);
    page.on("request", (request) => asked.push(request.url()));
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(`${server.url}/swagger`);
    await page.locator(".opblock").first().waitFor();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("it shows every route of the document", async () => {
    const document = (await (await fetch(`${server.url}/swagger/json`)).json()) as OpenApi;
    const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(routes.length).toBeGreaterThan(8);
    const shown = await page.locator(".opblock-summary").evaluateAll((rows) =>
      rows.map((row) => {
        const method = row.querySelector(".opblock-summary-method")?.textContent ?? "";
        // Zero-width spaces let a long path wrap.
        const path = row.querySelector(".opblock-summary-path, .opblock-summary-path__deprecated")?.textContent ?? "";
        return `${method.trim()} ${path.replaceAll("\u200b", "").trim()}`;
      }),
    );
    expect(shown.sort()).toEqual(routes.sort());
  });

  test("Try it out sends a chat's own example, and the answer is there", async () => {
    const route = page.locator(".opblock-post", { hasText: "/v1/chat/completions" }).first();
    await route.locator(".opblock-summary").click();
    await route.getByRole("button", { name: "Try it out" }).click();
    const answered = page.waitForResponse((response) => response.url().endsWith("/v1/chat/completions"));
    await route.getByRole("button", { name: "Execute" }).click();
    const response = await answered;
    if (response.status() !== 200)
      throw new Error(`${response.status()}: ${await response.text()}\n${server.logTail()}`);
    const body = (await response.json()) as { choices: { message: { content: string } }[] };
    const content = body.choices[0]?.message.content ?? "";
    expect(content).not.toBe("");
    const live = route.locator(".live-responses-table");
    await live.waitFor();
    expect(await live.locator("tbody .response-col_status").first().textContent()).toContain("200");
    expect(await live.textContent()).toContain(content.slice(0, 20));
  });

  test("no request left this machine, and nothing was complained of", async () => {
    const elsewhere = asked.filter((url) => !url.startsWith(`${server.url}/`) && !url.startsWith("data:"));
    expect(asked.length).toBeGreaterThan(4);
    expect(elsewhere).toEqual([]);
    expect(complaints).toEqual([]);
  });
});
