// ps, load, switch and unload against a server that says what the test wants.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ModelStatusReply } from "../../src/api/manage/loading-schema.ts";
import { parseArgv } from "../../src/commands/arguments/argv.ts";
import { manage } from "../../src/commands/manage.ts";
import { AppError } from "../../src/protocol/errors.ts";

const MODEL: ModelStatusReply["models"][number] = {
  id: "qwen",
  state: "loaded",
  settings: {},
  current: true,
  default: true,
  pinned: true,
  priority: 0,
  pid: 7,
  backend: null,
  devices: ["CPU"],
  plannedBytes: [2_000_000_000, 1_000_000],
  measuredBytes: [1_900_000_000, 1_000_000],
  learned: null,
  memory: { anonBytes: 900_000_000, mappedBytes: 800_000_000 },
  requests: { running: 1, queued: 2, waiting: 3 },
  tokensPerSecond: { prompt: 100, generation: 12.34 },
  kv: null,
  sleepsInMs: 59_500,
  idleMs: 1,
  loadMs: 2,
  loads: 1,
  evictions: 0,
  freed: null,
  kept: null,
  error: null,
};
const IDLE = {
  ...MODEL,
  id: "small",
  state: "asleep",
  default: false,
  pinned: false,
  memory: null,
  sleepsInMs: null,
  plannedBytes: null,
  measuredBytes: null,
  requests: { running: 0, queued: 0, waiting: 0 },
  tokensPerSecond: { prompt: null, generation: null },
};
const POOLS = [
  { name: "host", budgetBytes: 4_000_000_000, plannedBytes: 2_000_000_000 },
  { name: "cuda:0", budgetBytes: null, plannedBytes: 1_000_000 },
];
const STATUS = { pools: POOLS, swaps: 0, models: [MODEL, IDLE] };

const seen: { path: string; body: unknown; key: string | null }[] = [];
const answers: Record<string, () => Response> = {
  "/api/models/status": () => Response.json(STATUS),
  "/api/models/load": () =>
    Response.json({
      ...{
        id: "qwen",
        state: "loaded",
        default: false,
        devices: ["CPU"],
        contextLength: 1,
        loadMs: 12.3,
        sleepsInMs: 1,
      },
      backend: { wanted: ["cuda", "cpu"], used: ["cpu"], fallback: "cpu in place of cuda", skipped: [] },
    }),
  "/api/models/unload": () =>
    Response.json({
      id: "qwen",
      state: "unloaded",
      loadsGivenUp: 2,
      requestsAhead: 0,
      freed: { hostBytes: 5e8, devices: [] },
    }),
  "/api/models/switch": () =>
    Response.json(
      { error: { code: "plan_refused", message: "qwen is too large", hint: "Unpin a model." } },
      { status: 400 },
    ),
};

let server: ReturnType<typeof Bun.serve>;
beforeAll(() => {
  server = Bun.serve({
    port: 0,
    async fetch(request) {
      const path = new URL(request.url).pathname;
      const text = await request.text();
      seen.push({ path, body: text === "" ? null : JSON.parse(text), key: request.headers.get("authorization") });
      return answers[path]?.() ?? new Response("<html>", { status: 404 });
    },
  });
});
afterAll(() => server.stop(true));

async function run(...args: string[]): Promise<string> {
  const invocation = parseArgv([...args, "--server", `http://127.0.0.1:${server.port}/`]);
  if (invocation.command !== "manage") throw new Error(`parsed as ${invocation.command}`);
  const output: string[] = [];
  expect(await manage(invocation.manage, (text) => void output.push(text))).toBe(0);
  return output.join("");
}

describe("what is printed", () => {
  test("ps", async () => {
    expect(await run("ps", "--api-key", "k")).toBe(
      [
        "MODEL                   STATE   PLANNED          MEASURED         MEMORY           REQUESTS  TOKENS/S  SLEEPS IN",
        "qwen (default, pinned)  loaded  2.0 GB + 1.0 MB  1.9 GB + 1.0 MB  900 MB + 800 MB  1 + 5     12.3      60 s",
        "small                   asleep  -                -                -                0 + 0     -         -",
        "host: 2.0 GB of 4.0 GB planned.",
        "cuda:0: 1.0 MB of no limit planned.",
        "",
      ].join("\n"),
    );
    expect(seen.at(-1)).toEqual({ path: "/api/models/status", body: null, key: "Bearer k" });
    expect(JSON.parse(await run("ps", "--json"))).toEqual(STATUS);
  });

  test("load and unload", async () => {
    expect(await run("load", "qwen")).toBe("qwen is loaded (12 ms, CPU).\nIt computes on cpu in place of cuda.\n");
    expect(seen.at(-1)).toEqual({ path: "/api/models/load", body: { model: "qwen" }, key: null });
    expect(await run("unload", "qwen")).toBe("qwen is unloaded: 500 MB came back.\nLoads given up for it: 2.\n");
  });
});

describe("what goes wrong", () => {
  const failure = async (work: Promise<unknown>) => await work.then(String, (thrown: unknown) => thrown);

  test("is told in the server's words", async () => {
    const refused = await failure(run("switch", "qwen"));
    expect(refused).toMatchObject({ code: "plan_refused", message: "qwen is too large", hint: "Unpin a model." });
  });

  test("is told also of what is no such server, and of none", async () => {
    delete answers["/api/models/load"];
    expect((await failure(run("load", "qwen"))) as AppError).toMatchObject({ message: expect.stringContaining("404") });
    const nobody = { verb: "ps", model: null, server: "http://127.0.0.1:1", apiKey: null, json: false } as const;
    const silent = await failure(manage(nobody, () => {}));
    expect(silent).toMatchObject({ message: expect.stringContaining("does not answer") });
  });

  test.each([
    [["load"], "load needs a model's name"],
    [["ps", "x"], "does not take"],
    [["ps", "--server", "nowhere"], "--server must be a URL"],
    [["unload", "a", "--api-key", "a b"], "--api-key must be"],
  ])("%j is refused", (args, message) => {
    expect(() => parseArgv(args)).toThrow(AppError);
    expect(() => parseArgv(args)).toThrow(message);
  });
});
