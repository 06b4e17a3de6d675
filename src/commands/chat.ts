// `run MODEL [PROMPT]`: chats with a server that is given, or with one that it starts for itself on a free port.

import { loadConfig } from "../config.ts";
import { createLogger } from "../lib/log.ts";
import type { RawFlags } from "../lib/option.ts";
import { type Environment, resolveFolders } from "../lib/paths.ts";
import { toAppError } from "../protocol/errors.ts";
import type { ConversionJob } from "../router/conversions/conversions.ts";
import type { RunArguments } from "./arguments/argv.ts";
import type { ConvertOutput } from "./convert.ts";
import { describeError } from "./describe-error.ts";
import { type ExitCode, exitCodeOfStart } from "./exit-codes.ts";
import { runChat } from "./run.ts";
import { nameModel } from "./run-model.ts";
import { listSaid } from "./server/asked-settings.ts";
import { type PreparedServer, prepareServer } from "./server/server.ts";
import { ConvertProgress } from "./text/convert-progress.ts";

export async function chat(
  { run, flags, configPath }: { run: RunArguments; flags: RawFlags; configPath: string | null },
  env: Environment,
  cwd: string,
): Promise<ExitCode> {
  const interrupted = new AbortController();
  const isTty = { stdin: process.stdin.isTTY === true, stdout: process.stdout.isTTY === true };
  const options = {
    ...run,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    isTty,
    signal: interrupted.signal,
  };
  // An interactive chat reads Ctrl-C itself; otherwise it ends the one answer.
  const onSignal = (): void => interrupted.abort();
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  if (run.server !== null) return await runChat({ ...options, baseUrl: run.server });

  const named = nameModel(run.model, flags, cwd);
  const ownFlags = new Map([...named.flags, ["port", ["0"]]]);
  if (!flags.has("log_level")) ownFlags.set("log_level", ["warn"]);
  const folders = resolveFolders(env);
  const resolved = loadConfig({ flags: ownFlags, env, folders, cwd }, configPath);
  const { values, origins } = resolved;
  const log = createLogger({ level: values.logLevel, format: values.logFormat });
  const { model } = named;
  // Those of the command line are for the model that it names; those of the file are for the server's default model.
  const adapted = origins.lora === "flag" ? { adapted: model } : {};
  let prepared: PreparedServer;
  try {
    const onConversion = showConversion(process.stderr);
    prepared = await prepareServer({
      config: values,
      said: listSaid(resolved),
      folders,
      env,
      log,
      ...adapted,
      onConversion,
    });
  } catch (thrown) {
    process.stderr.write(describeError(toAppError(thrown)));
    return exitCodeOfStart(thrown);
  }
  const server = prepared.listen();
  try {
    return await runChat({ ...options, model, baseUrl: server.url });
  } finally {
    await server.stop(false);
  }
}

/** The progress of a conversion that the first question waits for. */
function showConversion(screen: ConvertOutput["stderr"]): (job: ConversionJob) => void {
  const progress = new ConvertProgress(screen, () => performance.now());
  return ({ state, source, phase, doneBytes, totalBytes }) => {
    if (state === "running" && totalBytes === null) screen.write(`converting ${source}\n`);
    if (state === "running" && totalBytes !== null) progress.show(doneBytes, totalBytes, phase);
    else progress.end();
  };
}
