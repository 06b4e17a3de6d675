// `bench` as a program: its help, its JSON from a loopback server, and that it opens enough connections for the flood.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { cleanEnvironment } from "../support/child-process.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = Bun.spawn([process.execPath, MAIN, "bench", ...args], {
    env: cleanEnvironment(),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, stdout, stderr };
}

/** Holds every request back until as many as `together` wait at once. */
function startBarrier(together: number) {
  const gate = Promise.withResolvers<void>();
  let waiting = 0;
  const server = Bun.serve({
    port: 0,
    // Those that came first wait for the last: a slow machine must not cut them.
    idleTimeout: 0,
    async fetch(request) {
      if (request.method === "GET") return Response.json({ data: [{ id: "m" }] });
      const body = (await request.json()) as { stream?: boolean };
      if (body.stream !== true) return Response.json({ choices: [{ text: "x" }] });
      waiting += 1;
      if (waiting === together) gate.resolve();
      await gate.promise;
      const usage = { prompt_tokens: 12, completion_tokens: 1 };
      return new Response(`data: ${JSON.stringify({ choices: [{ text: "x" }], usage })}\n\ndata: [DONE]\n\n`);
    },
  });
  return { url: `http://127.0.0.1:${server.port}`, stop: () => server.stop(true) };
}

describe("bench", () => {
  test("shows its help", async () => {
    const { code, stdout } = await run("--help");
    expect(code).toBe(0);
    expect(stdout).toContain("--scenario NAME");
  });

  test("refuses a scenario that does not exist, with the exit code of a usage error", async () => {
    const { code, stderr } = await run("--scenario", "flod");
    expect(stderr).toContain("did you mean flood?");
    expect(code).toBe(2);
  });

  test("says that a server does not answer", async () => {
    const { code, stderr } = await run("--url", "http://127.0.0.1:1", "--scenario", "single-stream");
    expect(stderr).toContain("http://127.0.0.1:1: ");
    expect(code).toBe(1);
  });

  test("has all streams of the flood open at once, and prints JSON", async () => {
    const server = startBarrier(512);
    try {
      const { code, stdout } = await run(
        "--url",
        server.url,
        "--scenario",
        "flood",
        "--runs",
        "1",
        "--seed",
        "s",
        "--json",
      );
      expect(code).toBe(0);
      const report = JSON.parse(stdout) as { results: { metrics: { key: string; medians: object }[] }[] };
      expect(report).toMatchObject({ runs: 1, seed: "s", servers: [{ url: server.url, model: "m" }] });
      const name = server.url.replace("http://", "");
      const complete = report.results[0]?.metrics.find(({ key }) => key === "complete");
      expect(complete?.medians).toEqual({ [name]: 512 });
    } finally {
      await server.stop();
    }
  });
});
