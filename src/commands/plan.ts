// `plan MODEL` and `recommend`: what models would take on this machine and which of them suit it. Starts no server and loads
// nothing; beside a server that runs, its models count as memory that is not free.

import { encodePlan, encodeRecommendation } from "../api/manage/encode-plan.ts";
import { createLogger } from "../lib/log.ts";
import type { RawFlags } from "../lib/option.ts";
import type { Environment } from "../lib/paths.ts";
import { readAdapters } from "../models/adapter.ts";
import { AppError } from "../protocol/errors.ts";
import type { PlanGoal } from "../router/placement/plan.ts";
import type { Planner } from "../router/placement/planner.ts";
import { PLAN_GOAL } from "./arguments/plan-specs.ts";
import { EXIT_CODES, type ExitCode } from "./exit-codes.ts";
import { nameModel } from "./run-model.ts";
import { openConvertedCache } from "./server/converting.ts";
import { openMachine } from "./server/machine.ts";
import { openNative } from "./server/native.ts";
import { openPlanner } from "./server/planning.ts";
import { type AskedFlags, readServeSettings } from "./server/serve-settings.ts";
import { openRegistry } from "./server/server.ts";
import { renderPlan, renderRecommendation } from "./text/plan-text.ts";

export interface PlanArguments {
  /** One: a name, or the path of a GGUF file or a folder of weights. */
  operands: readonly string[];
  json: boolean;
}

/** Exit code 0 says that it fits; a plan that needs changes, and a refusal, are failures for scripts. */
export async function plan(
  { plan: args, ...asked }: AskedFlags & { plan: PlanArguments },
  env: Environment,
  cwd: string,
): Promise<ExitCode> {
  const [wanted] = args.operands;
  if (wanted === undefined)
    throw usage("plan needs a model: a name, or the path of a GGUF file or a folder of weights");
  const { model, flags } = nameModel(wanted, asked.flags, cwd);
  const planner = await open({ ...asked, flags }, env, cwd);
  const report = await planner.plan({ model, goal: readGoal(flags), asked: {} });
  process.stdout.write(args.json ? `${JSON.stringify(encodePlan(report), null, 2)}\n` : renderPlan(report));
  return report.plan.verdict === "fits" ? EXIT_CODES.ok : EXIT_CODES.failed;
}

function readGoal(flags: RawFlags): PlanGoal {
  const result = PLAN_GOAL.schema.safeParse(flags.get(PLAN_GOAL.name)?.at(-1) ?? PLAN_GOAL.default);
  if (!result.success) throw usage(`--goal must be ${PLAN_GOAL.expected}`);
  return result.data;
}

function usage(message: string): AppError {
  return new AppError({ code: "invalid_request", message, hint: "ml-offload plan --help shows what there is." });
}

export async function recommend(
  { json, ...asked }: AskedFlags & { json: boolean },
  env: Environment,
  cwd: string,
): Promise<ExitCode> {
  const found = await (await open(asked, env, cwd)).recommend();
  process.stdout.write(
    json ? `${JSON.stringify(encodeRecommendation(found), null, 2)}\n` : renderRecommendation(found),
  );
  return EXIT_CODES.ok;
}

async function open(asked: AskedFlags, env: Environment, cwd: string): Promise<Planner> {
  const { config, said, folders } = readServeSettings(asked, env, cwd);
  const log = createLogger({
    level: asked.flags.has("log_level") ? config.logLevel : "error",
    format: config.logFormat,
  });
  const { files, choice } = await openNative({ config: { ...config, exitWithParent: false }, folders, env, log });
  const { plugins } = choice;
  const machine = openMachine(files.probe, env, folders);
  await machine.read(0);
  const { cache, outType } = openConvertedCache(config, folders);
  const findConverted = (folder: string): string | null => cache.find(folder, outType);
  const registry = openRegistry({ config, folders, env, log, machine }, files, undefined, findConverted);
  const adapted = { modelPath: registry.defaultEntry()?.path ?? "", adapters: readAdapters(config.lora) };
  return openPlanner({
    start: { config, folders, log, said },
    engines: { config, files, plugins, folders, adapted },
    registry,
    machine,
    residents: () => [],
    isMoving: () => false,
  });
}
