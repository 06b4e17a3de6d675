// What plans predict beside what is then seen: tokens and prompts per second, seconds of loading a file that is in the page cache,
// memory. Models of one shape in several types, through the compiled binary. A script: `bun test/bench/predicted.ts [RUNS]`.

import { median } from "../../src/bench/timing.ts";
import { readEngine } from "../support/binary.ts";
import { BENCH_SPEC, type ModelSpec, sizedSpec } from "../support/model-specs.ts";
import { readRssAnonMb } from "./memory.ts";
import { linkModels, startOurs, useHome } from "./servers.ts";

const MODELS: Readonly<Record<string, ModelSpec>> = {
  "q4-k": BENCH_SPEC,
  "q8-0": sizedSpec("Q8_0", "Q8_0"),
  f16: sizedSpec("F16", "F16"),
};
const CTX = 4096;
/** One micro batch, as the plan reckons a prompt. */
const PROMPT_WORDS = 480;
const ANSWER_TOKENS = 48;

interface Figures {
  tokensPerSecond: number;
  promptTokensPerSecond: number;
  loadSeconds: number;
  memoryMb: number;
}

interface PlanReply {
  plan: {
    memory: { host: Readonly<Record<string, number>> };
    speed: Readonly<Record<"tokensPerSecond" | "promptTokensPerSecond" | "cachedLoadSeconds", number | null>>;
  };
}

interface CompletionReply {
  timings: { prompt_per_second: number; predicted_per_second: number };
}

await useHome(async (home) => {
  const limits = ["--ctx", String(CTX), "--parallel", "1", "--discover", "off"];
  const server = await startOurs(home, ["--models-dir", linkModels(home, MODELS), ...limits]);
  try {
    for (const name of Object.keys(MODELS)) await compare(server.url, name, Number(process.argv[2] ?? 3));
  } finally {
    await server.stop();
  }
});

async function compare(url: string, model: string, runs: number): Promise<void> {
  const planned = await readPlan(url, model);
  const seen: Figures[] = [];
  // The first reads the file into the page cache.
  for (let run = -1; run < runs; run++) {
    const figures = await look(url, model);
    if (run >= 0) seen.push(figures);
  }
  console.info(model);
  for (const figure of ["tokensPerSecond", "promptTokensPerSecond", "loadSeconds", "memoryMb"] as const) {
    const real = median(seen.map((figures) => figures[figure])) ?? Number.NaN;
    const ratio = planned[figure] / real;
    console.info(
      `  ${figure}: ${planned[figure].toFixed(2)} planned, ${real.toFixed(2)} seen, ratio ${ratio.toFixed(2)}`,
    );
  }
}

async function readPlan(url: string, model: string): Promise<Figures> {
  const { plan } = await ask<PlanReply>(url, "/api/plan", { model });
  const { mappedBytes = 0, ...own } = plan.memory.host;
  const bytes = Object.values(own).reduce((sum, value) => sum + value, 0);
  const of = (name: keyof PlanReply["plan"]["speed"]) => plan.speed[name] ?? Number.NaN;
  return {
    tokensPerSecond: of("tokensPerSecond"),
    promptTokensPerSecond: of("promptTokensPerSecond"),
    loadSeconds: of("cachedLoadSeconds"),
    memoryMb: bytes / 1e6,
  };
}

async function look(url: string, model: string): Promise<Figures> {
  const startMs = performance.now();
  await ask(url, "/api/models/load", { model });
  const loadSeconds = (performance.now() - startMs) / 1000;
  const prompt = `${Math.random()} ${"word ".repeat(PROMPT_WORDS)}`;
  const request = { model, prompt, max_tokens: ANSWER_TOKENS, temperature: 0, ignore_eos: true };
  const { timings } = await ask<CompletionReply>(url, "/v1/completions", request);
  const { pid } = await readEngine(url);
  const memoryMb = readRssAnonMb(pid) ?? Number.NaN;
  await ask(url, "/api/models/unload", { model });
  return {
    tokensPerSecond: timings.predicted_per_second,
    promptTokensPerSecond: timings.prompt_per_second,
    loadSeconds,
    memoryMb,
  };
}

async function ask<T>(url: string, path: string, body: object): Promise<T> {
  const response = await fetch(url + path, { method: "POST", body: JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${text}`);
  return JSON.parse(text) as T;
}
