// `serve`: starts the server, says that it is ready, and ends it on a signal. The first SIGTERM or SIGINT lets the
// requests in progress finish; the second does not wait.

import { PROJECT_VERSION } from "../api/version.ts";
import { formatConfig, loadConfig, type ResolvedConfig } from "../config.ts";
import { createLogger } from "../lib/log.ts";
import type { RawFlags } from "../lib/option.ts";
import { type Environment, resolveFolders } from "../lib/paths.ts";
import { toAppError } from "../protocol/errors.ts";
import { EXIT_CODES, type ExitCode, exitCodeOfStart } from "./exit-codes.ts";
import { listSaid } from "./server/asked-settings.ts";
import { type PreparedServer, prepareServer, type StartedServer } from "./server/server.ts";

export interface ServeArguments {
  flags: RawFlags;
  configPath: string | null;
  printConfig: boolean;
  json: boolean;
}

export async function serve(args: ServeArguments, env: Environment, cwd: string): Promise<ExitCode> {
  const folders = resolveFolders(env);
  const config = loadConfig({ flags: args.flags, env, folders, cwd }, args.configPath);
  if (args.printConfig) {
    process.stdout.write(formatConfig(config, args.json));
    return EXIT_CODES.ok;
  }
  const log = createLogger({ level: config.values.logLevel, format: config.values.logFormat });
  for (const warning of config.warnings) log.warn(warning);
  const report = (thrown: unknown, code: ExitCode): ExitCode => {
    const { message, hint } = toAppError(thrown);
    log.error(message, { hint });
    return code;
  };
  let prepared: PreparedServer;
  try {
    prepared = await prepareServer({ config: config.values, said: listSaid(config), folders, env, log });
  } catch (thrown) {
    return report(thrown, exitCodeOfStart(thrown));
  }
  for (const warning of prepared.warnings) log.warn(warning);
  let server: StartedServer;
  try {
    server = prepared.listen();
  } catch (thrown) {
    return report(thrown, EXIT_CODES.addressUnavailable);
  }
  sayReady(server, config);
  log.info(`listening on ${server.url}`, { version: PROJECT_VERSION, docs: `${server.url}/swagger` });
  return await untilSignal(server, (signal) => log.info(`${signal}: finishing the requests in progress`));
}

function sayReady(server: StartedServer, { values }: ResolvedConfig): void {
  if (!values.readyJson) return;
  process.stdout.write(`${JSON.stringify({ url: server.url, pid: process.pid, version: PROJECT_VERSION })}\n`);
}

async function untilSignal(server: StartedServer, onFirst: (signal: string) => void): Promise<ExitCode> {
  const ended = Promise.withResolvers<ExitCode>();
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    const graceful = !stopping;
    stopping = true;
    if (graceful) onFirst(signal);
    void server.stop(graceful).then(
      () => ended.resolve(EXIT_CODES.ok),
      () => ended.resolve(EXIT_CODES.failed),
    );
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, onSignal);
  return await ended.promise;
}
