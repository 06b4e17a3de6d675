// `bench`: measures servers by their URLs, prints a table or JSON. Wiring only: what is measured is src/bench.

import { chooseScenarios, SCENARIOS } from "../bench/catalog.ts";
import { complete, resolveTarget, type Target } from "../bench/client.ts";
import { renderText, toJson } from "../bench/report.ts";
import { type Contestant, runScenario, type ScenarioResult } from "../bench/runner.ts";
import { FLOOD_STREAMS } from "../bench/scenarios/flood.ts";
import type { Environment } from "../lib/paths.ts";
import { AppError } from "../protocol/errors.ts";
import { selfCommand } from "../router/children/child.ts";
import type { BenchArguments } from "./arguments/argv.ts";
import { EXIT_CODES, type ExitCode } from "./exit-codes.ts";

const OWN_URL = "http://127.0.0.1:9000";

/** Bun opens no more connections at once than this says, 256 by default, and reads it at its start only. */
const CONNECTIONS_VARIABLE = "BUN_CONFIG_MAX_HTTP_REQUESTS";
const CONNECTIONS = 2 * FLOOD_STREAMS;

export async function bench(args: BenchArguments, env: Environment): Promise<ExitCode> {
  if (Number(env[CONNECTIONS_VARIABLE] ?? 0) < FLOOD_STREAMS) return await startAgain(env);
  const scenarios = chooseScenarios(SCENARIOS, args.scenarios);
  const contestants = await prepareContestants(args);
  const seed = args.seed ?? String(Date.now());
  const onProgress = (line: string): void => void process.stderr.write(`${line}\n`);
  const results: ScenarioResult[] = [];
  for (const scenario of scenarios) {
    results.push(await runScenario(scenario, contestants, { runs: args.runs, seed, onProgress }));
  }
  const names = contestants.map(({ name }) => name);
  process.stdout.write(args.json ? renderJson(results, contestants, args, seed) : renderText(results, names));
  return results.some(({ failures }) => failures.length > 0) ? EXIT_CODES.failed : EXIT_CODES.ok;
}

/** The first request may load the model: it is not measured. */
async function prepareContestants(args: BenchArguments): Promise<Contestant<Target>[]> {
  const urls = args.urls.length === 0 ? [OWN_URL] : args.urls;
  if (new Set(urls).size < urls.length) {
    throw new AppError({ code: "invalid_request", message: "the same --url is given twice", hint: "Name each once." });
  }
  const contestants: Contestant<Target>[] = [];
  for (const url of urls) {
    const subject = await resolveTarget(url, args.model, args.apiKey);
    await complete(subject, { prompt: "Good morning.", maxTokens: 4 });
    contestants.push({ name: subject.url.replace(/^https?:\/\//, ""), subject });
  }
  return contestants;
}

function renderJson(
  results: readonly ScenarioResult[],
  contestants: readonly Contestant<Target>[],
  { runs }: BenchArguments,
  seed: string,
): string {
  const servers = contestants.map(({ name, subject }) => ({ name, url: subject.url, model: subject.model }));
  return `${JSON.stringify({ servers, runs, seed, results: toJson(results) }, null, 2)}\n`;
}

/** The same command in a process that may open enough connections for `flood`. */
async function startAgain(env: Environment): Promise<ExitCode> {
  const child = Bun.spawn([...selfCommand(), ...process.argv.slice(2)], {
    env: { ...env, [CONNECTIONS_VARIABLE]: String(CONNECTIONS) },
    stdio: ["inherit", "inherit", "inherit"],
  });
  const onSignal = (signal: NodeJS.Signals): void => child.kill(signal);
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, onSignal);
  const code = await child.exited;
  const known = Object.values(EXIT_CODES).find((exitCode) => exitCode === code);
  return known ?? EXIT_CODES.failed;
}
