// `show PATH|NAME [FILTER]`: what a file or folder is, whether it runs, its metadata and tensors; of a model of the Hub, before
// it is downloaded. Starts no server and loads no model.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { encodePlan } from "../api/manage/encode-plan.ts";
import { Hub } from "../hub/hub.ts";
import { readHubSettings } from "../hub/settings.ts";
import { createLogger } from "../lib/log.ts";
import type { Environment } from "../lib/paths.ts";
import type { ModelEntry } from "../models/entry.ts";
import { inspectWhole } from "../models/inspect.ts";
import { readHeaderFacts } from "../models/memory/header-facts.ts";
import { AppError } from "../protocol/errors.ts";
import { isRepository } from "../protocol/hub-name.ts";
import { locateNativeFiles } from "../router/backends/native-files.ts";
import { EXIT_CODES, type ExitCode } from "./exit-codes.ts";
import { confirmHere, planHeadersHere } from "./server/header-subject.ts";
import { openMachine } from "./server/machine.ts";
import { type AskedFlags, limitFiles, readServeSettings, type ServeSettings } from "./server/serve-settings.ts";
import { openRegistry } from "./server/server.ts";
import { renderPlan } from "./text/plan-text.ts";
import { renderFit, renderInspection, renderModelFile } from "./text/show-text.ts";

export interface ShowArguments {
  /** A path, or the name of a model that `serve` would list. */
  subject: string;
  /** Part of a metadata key's or tensor's name; null: all metadata. */
  filter: string | null;
  tensors: boolean;
  json: boolean;
}

export async function show(
  { show: args, ...asked }: AskedFlags & { show: ShowArguments },
  env: Environment,
  cwd: string,
): Promise<ExitCode> {
  const place = await choosePlace(args.subject, asked, env, cwd);
  if ("hub" in place) return await showRemote(place.hub, args, readServeSettings(asked, env, cwd), env);
  const { path, described } = place;
  const found = inspectWhole(path, { ...args, thorough: true });
  const modelFile = described === null ? {} : { modelFile: described };
  process.stdout.write(
    args.json
      ? `${JSON.stringify({ ...found, ...modelFile }, null, 2)}\n`
      : renderInspection(found, described === null ? [] : renderModelFile(described)),
  );
  return EXIT_CODES.ok;
}

/** What lies at the path, else the model of that name, else the Hub's; `hf:` before a name asks for the Hub's in any case. */
async function choosePlace(
  subject: string,
  asked: AskedFlags,
  env: Environment,
  cwd: string,
): Promise<Pick<ModelEntry, "path" | "described"> | { hub: string }> {
  const own = resolve(cwd, subject);
  if (existsSync(own)) return { path: own, described: null };
  if (subject.startsWith("hf:")) return { hub: subject };
  try {
    return await findModel(subject, readServeSettings(asked, env, cwd), env);
  } catch (thrown) {
    const isUnknown = thrown instanceof AppError && thrown.code === "model_not_found";
    if (isUnknown && isRepository(subject.split(":")[0] ?? "")) return { hub: subject };
    throw thrown;
  }
}

async function showRemote(
  name: string,
  args: ShowArguments,
  settings: ServeSettings,
  env: Environment,
): Promise<ExitCode> {
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  const machine = openMachine(null, env, settings.folders);
  const hub = new Hub({
    settings: readHubSettings(env),
    root: join(settings.folders.data, "models"),
    largestModelBytes: () => limitFiles(machine, settings),
    planHeaders: confirmHere(machine, settings),
  });
  try {
    const { found: all, ...look } = await hub.look(
      name,
      (source, path) => {
        const told = inspectWhole(path, { ...args, source });
        return { ...told, facts: readHeaderFacts(told, source) };
      },
      stop.signal,
    );
    const { facts, ...found } = all;
    const model = { id: look.name ?? look.repo, facts };
    const plan = facts.kind === "none" ? null : await planHeadersHere(model, machine, settings);
    // Where there is a plan, the size of the weights alone could only disagree with it.
    const hubFacts = {
      ...look,
      memory: plan === null ? look.memory : null,
      plan: plan && encodePlan(plan),
      noPlan: facts.kind === "none" ? facts.reason : null,
    };
    const shown = args.json
      ? `${JSON.stringify({ ...found, hub: hubFacts }, null, 2)}\n`
      : `${renderInspection(found, renderFit(hubFacts))}${plan === null ? "" : `\n${renderPlan(plan)}`}`;
    process.stdout.write(shown);
    return EXIT_CODES.ok;
  } catch (thrown) {
    if (stop.signal.aborted) return EXIT_CODES.interrupted;
    throw thrown;
  }
}

/** As the server would resolve it, the demo model included. Throws `model_not_found` with the nearest names. */
async function findModel(name: string, { config, folders }: ServeSettings, env: Environment): Promise<ModelEntry> {
  const log = createLogger({ level: "error", format: "text" });
  const { demoModel, probe } = await locateNativeFiles(folders.cache, env.ML_OFFLOAD_NATIVE_DIR);
  const machine = openMachine(probe, env, folders);
  await machine.read(0);
  // What a folder was converted to is no part of what it is.
  return openRegistry({ config, folders, env, log, machine }, { demoModel }, undefined, () => null).resolve(name);
}
