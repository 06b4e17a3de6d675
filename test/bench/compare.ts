// Our compiled binary against llama-server, built from the same vendored source, on the same model in one run:
// `bun test/bench/compare.ts --help`. The table goes to stderr, JSON to stdout. Reported, never asserted.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { chooseScenarios, SCENARIOS } from "../../src/bench/catalog.ts";
import type { Target } from "../../src/bench/client.ts";
import { renderText, toJson } from "../../src/bench/report.ts";
import { type Contestant, type RunOptions, runScenario, type ScenarioResult } from "../../src/bench/runner.ts";
import type { Scenario } from "../../src/bench/scenario.ts";
import { FLOOD_STREAMS } from "../../src/bench/scenarios/flood.ts";
import { assertBinary } from "../support/binary.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { BENCH_SPEC, TINY_SPEC } from "../support/model-specs.ts";
import { listOurPlugins } from "../support/ours-and-peer.ts";
import { type Comparison, describeMachine, renderMeasured, replaceMeasured } from "./document.ts";
import { GROWTH_MEMORY, START_AND_MEMORY, type Startable, startWarm } from "./process-scenarios.ts";
import { RESTART } from "./restart.ts";
import { type Launcher, launchOurs, launchPeer, type ServerSettings, useHome } from "./servers.ts";
import { launchUnifiedAndSplit, UNIFIED_VS_SPLIT } from "./unified-vs-split.ts";

const HELP = `bun test/bench/compare.ts [OPTIONS]
  --scenario NAME   one scenario; repeatable (growth: all growth-…); default all
  --runs N          runs of each (default 5)
  --quick           one run, without growth-… and unified-vs-split
  --default-flags   llama-server a second time, with nothing said but the model; the better one counts
  --threads N       of all servers (default: the CPUs of this machine)
  --model FILE      another model than the generated 0.6B-shaped one
  --markdown FILE   write the tables into this document, between the marks of its part
  --part NAME       the part (default: measured)
  --json FILE       write the JSON there as well
Scenarios: `;

/** Context and sequences of a scenario's servers, and whether it runs on the tiny model. */
interface Setting {
  ctx: number;
  parallel: number;
  tiny?: boolean;
}
const USUAL: Setting = { ctx: 32_768, parallel: 8 };
const SETTINGS: Readonly<Record<string, Setting>> = {
  "requests-per-second": { ctx: 16_384, parallel: 16, tiny: true },
  "growth-streams": { ctx: 32_768, parallel: 64 },
  "growth-memory": { ctx: 8192, parallel: 8, tiny: true },
  restart: { ctx: 32_768, parallel: 2 },
  "start-and-memory": { ctx: 8192, parallel: 4 },
};
const LEFT_OUT_WHEN_QUICK = /^(growth-|unified-vs-split$)/;

const ON_PROCESSES: readonly Scenario<Startable>[] = [RESTART, START_AND_MEMORY, GROWTH_MEMORY];
const NAMES = [...SCENARIOS, ...ON_PROCESSES, UNIFIED_VS_SPLIT].map(({ name }) => ({ name }));

const { values: flags } = parseArgs({
  options: {
    scenario: { type: "string", multiple: true, default: [] },
    runs: { type: "string", default: "5" },
    quick: { type: "boolean", default: false },
    "default-flags": { type: "boolean", default: false },
    threads: { type: "string", default: String(navigator.hardwareConcurrency) },
    model: { type: "string" },
    markdown: { type: "string" },
    part: { type: "string", default: "measured" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

const RUNS = flags.quick ? 1 : Number(flags.runs);
const OPTIONS: RunOptions = { runs: RUNS, seed: "compare", onProgress: (line) => console.error(line) };

function settingsOf(scenario: string): ServerSettings {
  const { tiny = false, ctx, parallel } = SETTINGS[scenario] ?? USUAL;
  const model = tiny ? cacheModel(TINY_SPEC) : (flags.model ?? cacheModel(BENCH_SPEC));
  return { model, ctx, parallel, threads: Number(flags.threads) };
}

/** Scenarios by URL: the servers of one setting stay up for all of its scenarios, and idle while another is asked. */
async function runByUrl(scenarios: readonly Scenario[], launchers: readonly Launcher[]): Promise<ScenarioResult[]> {
  const groups = Map.groupBy(scenarios, ({ name }) => JSON.stringify(settingsOf(name)));
  const results: ScenarioResult[] = [];
  for (const group of groups.values()) {
    const settings = settingsOf(group[0]?.name ?? "");
    await useHome(async (home) => {
      const stops: (() => Promise<void>)[] = [];
      try {
        const contestants: Contestant<Target>[] = [];
        for (const launcher of launchers) {
          const { server, target } = await startWarm({ launcher, settings }, home);
          stops.push(() => server.stop());
          contestants.push({ name: launcher.name, subject: target });
        }
        for (const scenario of group) results.push(await runScenario(scenario, contestants, OPTIONS));
      } finally {
        await Promise.all(stops.map((stop) => stop()));
      }
    });
  }
  const order = scenarios.map(({ name }) => name);
  return results.toSorted((a, b) => order.indexOf(a.scenario) - order.indexOf(b.scenario));
}

async function runOnProcesses(
  scenarios: readonly Scenario<Startable>[],
  launchers: readonly Launcher[],
): Promise<ScenarioResult[]> {
  const results: ScenarioResult[] = [];
  for (const scenario of scenarios) {
    const settings = settingsOf(scenario.name);
    const contestants = launchers.map((launcher) => ({ name: launcher.name, subject: { launcher, settings } }));
    results.push(await runScenario(scenario, contestants, OPTIONS));
  }
  return results;
}

/** The plug-in files that ours uses, so that the peer gets the same; its first start also tests and extracts them. */
async function findPlugins(ours: Launcher): Promise<string[]> {
  return await useHome(async (home) => {
    const { server } = await startWarm({ launcher: ours, settings: settingsOf("requests-per-second") }, home);
    try {
      return await listOurPlugins(server.url);
    } finally {
      await server.stop();
    }
  });
}

async function compare(): Promise<Comparison[]> {
  assertBinary();
  const chosen = new Set(chooseScenarios(NAMES, flags.scenario).map(({ name }) => name));
  const isChosen = ({ name }: { name: string }): boolean =>
    chosen.has(name) && !(flags.quick && flags.scenario.length === 0 && LEFT_OUT_WHEN_QUICK.test(name));
  const ours = launchOurs();
  const plugins = await findPlugins(ours);
  const launchers = [ours, launchPeer("llama-server", plugins)];
  if (flags["default-flags"]) launchers.push(launchPeer("llama-server, its defaults", plugins, () => []));
  const results = [
    ...(await runByUrl(SCENARIOS.filter(isChosen), launchers)),
    ...(await runOnProcesses(ON_PROCESSES.filter(isChosen), launchers)),
  ];
  const pools = launchUnifiedAndSplit(plugins);
  const poolResults = await runOnProcesses([UNIFIED_VS_SPLIT].filter(isChosen), pools);
  const title = `ml-offload beside llama-server, plug-ins ${plugins.join(", ")}:`;
  return [
    { title, results, names: launchers.map(({ name }) => name) },
    { title: "llama-server's two kinds of KV cache:", results: poolResults, names: pools.map(({ name }) => name) },
  ];
}

/** Bun opens no more connections than a variable says that it reads at its start. */
async function startAgain(): Promise<void> {
  const child = Bun.spawn([process.execPath, Bun.main, ...process.argv.slice(2)], {
    env: { ...process.env, BUN_CONFIG_MAX_HTTP_REQUESTS: String(2 * FLOOD_STREAMS) },
    stdio: ["inherit", "inherit", "inherit"],
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => child.kill(signal));
  process.exitCode = await child.exited;
}

/** Where results go is this machine's business, and no part of how they came about. */
function withoutPaths(args: readonly string[]): string[] {
  return args.filter((arg, i) => arg !== "--json" && !arg.startsWith("--json=") && args[i - 1] !== "--json");
}

async function main(): Promise<void> {
  if (flags.help) return console.log(HELP + NAMES.map(({ name }) => name).join(" "));
  if (!(RUNS >= 1)) throw new Error("--runs must be a number from 1");
  if (Number(process.env.BUN_CONFIG_MAX_HTTP_REQUESTS ?? 0) < FLOOD_STREAMS) return await startAgain();
  const comparisons = await compare();
  for (const { title, results, names } of comparisons) {
    if (results.length > 0) console.error(`\n${title}\n${renderText(results, names)}`);
  }
  const date = new Date().toISOString().slice(0, 10);
  const command = ["bun test/bench/compare.ts", ...withoutPaths(process.argv.slice(2))].join(" ");
  const facts = { date, runs: RUNS, command, machine: describeMachine() };
  const tables = comparisons.map(({ names, results }) => ({ names, results: toJson(results) }));
  const json = JSON.stringify({ ...facts, threads: Number(flags.threads), seed: OPTIONS.seed, tables }, null, 2);
  if (flags.json !== undefined) writeFileSync(flags.json, `${json}\n`);
  if (flags.markdown !== undefined) {
    const document = existsSync(flags.markdown) ? readFileSync(flags.markdown, "utf8") : "";
    writeFileSync(flags.markdown, replaceMeasured(document, renderMeasured({ ...facts, comparisons }), flags.part));
  }
  console.log(json);
}

await main();
