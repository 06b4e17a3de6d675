// Schemathesis over our own OpenAPI document and the compiled binary, with all its checks. A script and no test: it needs
// Python and fetches its packages, into a folder of build/. docs/api.md says how to run it and what was found.

import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makeFolder, startBinary } from "../support/binary.ts";
import { buildModel } from "../support/gguf-builder.ts";
import { BERT_RANK_SPEC, TINY_SPEC } from "../support/model-specs.ts";

const VERSION = "4.32.5";
const ROOT = join(import.meta.dir, "../..");
const VENV = join(ROOT, "build", `schemathesis-${VERSION}`);

/** Routes that ask a model. */
const GENERATING = "chat|completions|messages|generate|infill|embed|rerank|responses$|input_tokens";

/** An answer to a short request takes milliseconds; what waits for longer hangs. */
const ANSWER_SECONDS_MAX = 30;

/**
 * Its settings; paths in them are taken from where it runs. What a schema can't say (a model that has no adapters, fields
 * that exclude each other) is refused with 400: the hooks check that such an answer names the field.
 */
const SETTINGS = `hooks = ${JSON.stringify(join(import.meta.dir, "schemathesis_hooks.py"))}

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "403", "404", "409"]

# Its query belongs to Anthropic's dialect: without that dialect's header it is ignored, as OpenAI's route ignores it.
[[operations]]
include-name = "GET /v1/models"
checks.negative_data_rejection.enabled = false

# An item may refer to a stored one by its id. One that is not there is 404, though the conversation is.
[[operations]]
include-name = "POST /v1/conversations/{conversation_id}/items"
checks.ensure_resource_availability.enabled = false
`;

const { values } = parseArgs({
  options: {
    cheap: { type: "string", default: "2000" },
    generating: { type: "string", default: "100" },
    /** A regular expression: only these paths. */
    only: { type: "string", default: "" },
    seed: { type: "string", default: "1" },
  },
});

async function run(command: string[], cwd: string): Promise<number> {
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: "1" };
  return await Bun.spawn(command, { cwd, env, stdio: ["ignore", "inherit", "inherit"] }).exited;
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

async function main(): Promise<number> {
  const tool = await installTool();
  using models = makeFolder();
  layOutModels(models.path);
  writeFileSync(join(models.path, "schemathesis.toml"), SETTINGS);
  const server = await startBinary({ args: ["--models-dir", models.path, "--ctx", "512"] });
  const check = (examples: string, filter: string[]) => {
    const only = values.only === "" ? [] : ["--include-path-regex", values.only];
    const limits = ["--max-examples", examples, "--request-timeout", String(ANSWER_SECONDS_MAX), "--seed", values.seed];
    const output = ["--continue-on-failure", "--generation-database", "none", "--no-color"];
    const config = ["--config-file", join(models.path, "schemathesis.toml")];
    const document = `${server.url}/swagger/json`;
    return run([tool, ...config, "run", document, ...limits, ...output, ...filter, ...only], models.path);
  };
  try {
    const cheap = values.cheap === "0" ? 0 : await check(values.cheap, ["--exclude-path-regex", GENERATING]);
    const generating =
      values.generating === "0" ? 0 : await check(values.generating, ["--include-path-regex", GENERATING]);
    if (server.exitCode() !== null) throw new Error(`the server ended:\n${server.logTail()}`);
    return cheap === 0 ? generating : cheap;
  } finally {
    await server.stop();
  }
}

process.exitCode = await main();
