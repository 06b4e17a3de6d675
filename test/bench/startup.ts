// How long the compiled binary takes to be of use: `bun test/bench/startup.ts` prints a table on stderr and JSON on
// stdout. Measured and reported, never asserted: the machine decides. Each figure is the least and the median of its runs.

import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY, homeEnvironment } from "../support/binary.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { SIZED_400_MB_SPEC } from "../support/model-specs.ts";

const RUNS = 20;
/** First starts extract and test themselves: each needs a home of its own. */
const FIRST_RUNS = 5;

interface Figure {
  name: string;
  aimMs: number | null;
  minMs: number;
  medianMs: number;
  runs: number;
}

interface Started {
  url: string;
  stop(): Promise<void>;
}

async function startServer(home: string, args: readonly string[]): Promise<Started> {
  const child = Bun.spawn([BINARY, "serve", "--port", "0", "--ready-json", ...args], {
    env: homeEnvironment(home, { XDG_CACHE_HOME: join(home, "cache") }),
    stdout: "pipe",
    stderr: "ignore",
    stdin: "ignore",
  });
  const { value } = await child.stdout.getReader().read();
  const { url } = JSON.parse(new TextDecoder().decode(value)) as { url: string };
  return {
    url,
    async stop() {
      child.kill("SIGKILL");
      await child.exited;
    },
  };
}

async function ask(url: string, maxTokens: number): Promise<void> {
  const body = { messages: [{ role: "user", content: "What is 7 + 8?" }], temperature: 0, max_tokens: maxTokens };
  const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`the server answered ${response.status}: ${text}`);
}

async function timeRun(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}

function summarise(name: string, times: readonly number[], aimMs: number | null = null): Figure {
  const sorted = times.toSorted((a, b) => a - b);
  const round = (ms: number | undefined) => Math.round((ms ?? Number.NaN) * 10) / 10;
  return {
    name,
    aimMs,
    minMs: round(sorted[0]),
    medianMs: round(sorted[Math.floor(sorted.length / 2)]),
    runs: times.length,
  };
}

async function withHome<T>(work: (home: string) => Promise<T>): Promise<T> {
  const home = mkdtempSync(join(tmpdir(), "mlo-startup-"));
  try {
    return await work(home);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

async function measureVersion(): Promise<Figure> {
  const times: number[] = [];
  for (let i = 0; i < RUNS; i++) {
    times.push(await timeRun(() => Bun.spawn([BINARY, "--version"], { stdout: "ignore" }).exited));
  }
  return summarise("--version", times, 50);
}

async function measureServer(): Promise<Figure[]> {
  const first: number[] = [];
  for (let i = 0; i < FIRST_RUNS; i++) {
    await withHome(async (home) => {
      const startedMs = performance.now();
      const server = await startServer(home, []);
      first.push(performance.now() - startedMs);
      await server.stop();
    });
  }
  const again: number[] = [];
  const chat: number[] = [];
  await withHome(async (home) => {
    await (await startServer(home, [])).stop();
    for (let i = 0; i < RUNS; i++) {
      const startedMs = performance.now();
      const server = await startServer(home, []);
      again.push(performance.now() - startedMs);
      chat.push(await timeRun(() => ask(server.url, 8)));
      await server.stop();
    }
  });
  return [
    summarise("start to ready, first ever (extraction, self-test)", first),
    summarise("start to ready", again),
    summarise("first chat of the demo model, loading it", chat),
  ];
}

/** From the start of the program to the first token of a model whose file is in the page cache. */
async function measureModel(path: string): Promise<Figure[]> {
  await Bun.file(path).bytes();
  const served: number[] = [];
  const loaded: number[] = [];
  await withHome(async (home) => {
    await (await startServer(home, [])).stop();
    for (let i = 0; i < FIRST_RUNS; i++) {
      const startedMs = performance.now();
      const server = await startServer(home, ["--model", path, "--ctx", "4096"]);
      await ask(server.url, 1);
      served.push(performance.now() - startedMs);
      const info = (await (await fetch(`${server.url}/api/backend/info`)).json()) as {
        engines: { info: { loadMs: number } }[];
      };
      loaded.push(info.engines[0]?.info.loadMs ?? Number.NaN);
      await server.stop();
    }
  });
  const size = `${Math.round(statSync(path).size / 1e6)} MB model, warm page cache`;
  return [
    summarise(`${size}: program start to first token`, served, 2000),
    summarise(`${size}: its load alone, as the engine tells`, loaded),
  ];
}

const figures = [
  await measureVersion(),
  ...(await measureServer()),
  ...(await measureModel(cacheModel(SIZED_400_MB_SPEC))),
];
console.error(`${"".padEnd(64)}      min   median      aim`);
for (const { name, minMs, medianMs, aimMs } of figures) {
  const cells = [minMs, medianMs].map((ms) => `${ms.toFixed(1)} ms`.padStart(9));
  console.error(`${name.padEnd(64)}${cells.join("")}${(aimMs === null ? "" : `${aimMs} ms`).padStart(9)}`);
}
console.log(JSON.stringify({ binary: BINARY, cpus: navigator.hardwareConcurrency, figures }, null, 2));
