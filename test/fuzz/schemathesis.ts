// Schemathesis over our own OpenAPI document and the compiled binary, with all its checks. A script and no test: it needs
// Python and fetches its packages, into a folder of build/. docs/api.md says how to run it and what was found.

import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BINARY, makeFolder, startBinary } from "../support/binary.ts";
import { buildModel } from "../support/gguf-builder.ts";
import { type LoopbackHub, startLoopbackHub } from "../support/loopback-hub.ts";
import { BERT_RANK_SPEC, TINY_SPEC } from "../support/model-specs.ts";
import { listSlices, Passed, type Slice } from "./slices.ts";

const VERSION = "4.32.5";
const ROOT = join(import.meta.dir, "../..");
const VENV = join(ROOT, "build", `schemathesis-${VERSION}`);
const HOOKS = join(import.meta.dir, "schemathesis_hooks.py");

/** An answer to a short request takes milliseconds; what waits for longer hangs. */
const ANSWER_SECONDS_MAX = 30;

/** The checks that are off somewhere: printed with every run. */
const EXCEPTIONS = [
  {
    operation: "POST /v1/conversations/{conversation_id}/items",
    check: "ensure_resource_availability",
    reason: "an item may refer to a stored one by its id: one that is not there is 404, though the conversation is",
  },
];
const ACCEPTED_WIDER =
  "positive_data_acceptance takes 400 too, for what no schema says (a model without adapters, fields that exclude each " +
  "other): a check of our own wants such an answer to name the field";

/** Exit codes: something was found; the time was over before all slices had run. */
const FOUND = 1;
const UNFINISHED = 2;

const { values } = parseArgs({
  options: {
    cheap: { type: "string", default: "2000" },
    generating: { type: "string", default: "100" },
    /** A regular expression: only slices whose names it fits, as `^POST /v1/`. */
    only: { type: "string", default: "" },
    /** No slice is begun any more when this many seconds are over: the next run goes on. */
    seconds: { type: "string", default: "86400" },
    /** Slices that found nothing before run again. */
    afresh: { type: "boolean", default: false },
    seed: { type: "string", default: "1" },
  },
});

function describeSettings(): string {
  const exceptions = EXCEPTIONS.map(
    ({ operation, check }) => `[[operations]]\ninclude-name = "${operation}"\nchecks.${check}.enabled = false\n`,
  );
  return [
    `hooks = ${JSON.stringify(HOOKS)}\n`,
    `[checks.positive_data_acceptance]\nexpected-statuses = ["2xx", "400", "403", "404", "409"]\n`,
    ...exceptions,
  ].join("\n");
}

async function run(command: string[], cwd: string, env: Record<string, string> = {}): Promise<number> {
  const all = { ...process.env, PYTHONDONTWRITEBYTECODE: "1", ...env };
  return await Bun.spawn(command, { cwd, env: all, stdio: ["ignore", "inherit", "inherit"] }).exited;
}

async function installTool(): Promise<string> {
  const tool = join(VENV, "bin", "st");
  if (existsSync(tool)) return tool;
  mkdirSync(VENV, { recursive: true });
  const pip = join(VENV, "bin", "pip");
  for (const command of [
    ["python3", "-m", "venv", VENV],
    [pip, "install", "--quiet", `schemathesis==${VERSION}`],
  ]) {
    if ((await run(command, ROOT)) !== 0) throw new Error(`this failed: ${command.join(" ")}`);
  }
  return tool;
}

/** One model of each kind, under the names that the hooks give to requests. */
function layOutModels(folder: string): void {
  copyFileSync(join(ROOT, "src/demo/demo.gguf"), join(folder, "demo.gguf"));
  buildModel(BERT_RANK_SPEC, join(folder, "ranker.gguf"));
  buildModel({ ...TINY_SPEC, tokenizer: "refact" }, join(folder, "filler.gguf"));
}

/** A Hub on this machine that finds something of every kind: what is there, what is gone, what needs terms, what is no name. */
function makeHub(): LoopbackHub {
  const hub = startLoopbackHub();
  const gguf = {
    total: 8e9,
    architecture: "llama",
    context_length: 4096,
    chat_template: "{% if tools %}<think>{% endif %}",
  };
  const [listed = {}] = hub.listing;
  hub.listing = [
    { ...listed, gguf },
    { ...listed, id: "owner/gone-GGUF", downloads: null, lastModified: "soon" },
    { ...listed, id: "owner/gated-GGUF", gated: "manual", gguf: { ...gguf, total: "many" } },
    { ...listed, id: "../../etc" },
  ];
  return hub;
}

interface Report {
  complete: boolean;
  operations: { tested: number };
  test_cases: { generated: number };
  warnings: Record<string, unknown[]>;
  valid_rates: Record<string, Record<string, Record<string, number>>>;
}

/** True: it ran to its end, asked something, and found nothing. */
async function runSlice(tool: string, url: string, folder: string, slice: Slice): Promise<boolean> {
  const startedMs = performance.now();
  const reportFile = join(folder, "report.json");
  const code = await run(
    [
      ...[tool, "--config-file", join(folder, "schemathesis.toml"), "run", `${url}/swagger/json`, ...slice.filter],
      ...["--phases", slice.phases, "--max-examples", String(slice.examples)],
      ...["--request-timeout", String(ANSWER_SECONDS_MAX), "--seed", values.seed],
      ...["--continue-on-failure", "--generation-database", "none", "--no-color"],
      ...["--report", "json", "--report-json-path", reportFile],
    ],
    folder,
    { FUZZED_URL: url },
  );
  const report = JSON.parse(readFileSync(reportFile, "utf8")) as Report;
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
  console.log(`${slice.name}: ${report.test_cases.generated} cases in ${seconds} s, of valid requests:`);
  for (const [name, phases] of Object.entries(report.valid_rates)) console.log(`  ${name} ${JSON.stringify(phases)}`);
  const warnings = Object.entries(report.warnings).filter(([, list]) => list.length > 0);
  for (const [kind, list] of warnings) console.log(`  warning ${kind}: ${JSON.stringify(list)}`);
  return code === 0 && report.complete && report.operations.tested > 0;
}

/** What passed counts for the same binary, asked in the same way. */
function hashAsked(settings: string): string {
  const hash = new Bun.CryptoHasher("sha256");
  for (const part of [readFileSync(BINARY), settings, readFileSync(HOOKS)]) hash.update(part);
  return hash.digest("hex").slice(0, 16);
}

async function main(): Promise<number> {
  const endMs = performance.now() + Number(values.seconds) * 1000;
  const tool = await installTool();
  using models = makeFolder();
  layOutModels(models.path);
  const settings = describeSettings();
  writeFileSync(join(models.path, "schemathesis.toml"), settings);
  for (const { operation, check, reason } of EXCEPTIONS) console.log(`${check} is off for ${operation}: ${reason}`);
  console.log(ACCEPTED_WIDER);
  const passed = new Passed(join(VENV, "passed.txt"), `${hashAsked(settings)} seed ${values.seed}`);
  await using hub = makeHub();
  const env = { HF_ENDPOINT: hub.endpoint };
  const server = await startBinary({ args: ["--models-dir", models.path, "--ctx", "512"], env });
  try {
    const document = await (await fetch(`${server.url}/swagger/json`)).json();
    const counts = { cheap: Number(values.cheap), generating: Number(values.generating) };
    const all = listSlices(document as Parameters<typeof listSlices>[0], counts);
    const wanted = all.filter(({ name }) => new RegExp(values.only).test(name));
    const left = wanted.filter((slice) => values.afresh || !passed.has(slice));
    console.log(`${left.length} of ${wanted.length} slices are to run`);
    const found: string[] = [];
    for (const [at, slice] of left.entries()) {
      if (performance.now() > endMs) {
        console.log(`the time is over: ${left.length - at} slices are left, the next is ${slice.name}`);
        return found.length > 0 ? FOUND : UNFINISHED;
      }
      if (await runSlice(tool, server.url, models.path, slice)) passed.add(slice);
      else found.push(slice.name);
      if (server.exitCode() !== null) throw new Error(`the server ended:\n${server.logTail()}`);
    }
    console.log(found.length === 0 ? "nothing was found" : `something was found in:\n${found.join("\n")}`);
    return found.length === 0 ? 0 : FOUND;
  } finally {
    await server.stop();
  }
}

process.exitCode = await main();
