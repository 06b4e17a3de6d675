// `devices`: what this machine has, once or until Ctrl-C, as text or JSON. Wiring only.

import { WATCH_MS } from "../hardware/watch.ts";
import { type Environment, resolveFolders } from "../lib/paths.ts";
import type { MachineSnapshot } from "../protocol/machine.ts";
import { locateNativeFiles } from "../router/backends/native-files.ts";
import { EXIT_CODES, type ExitCode } from "./exit-codes.ts";
import { openMachine } from "./server/machine.ts";
import { renderMachine } from "./text/devices-text.ts";

/** A person waits for a driver that has to wake its devices first; a server asks again instead. */
const PATIENCE_MS = 20_000;

export interface DevicesArguments {
  json: boolean;
  watch: boolean;
}

export async function devices({ json, watch }: DevicesArguments, env: Environment): Promise<ExitCode> {
  const folders = resolveFolders(env);
  const machine = openMachine(await findProbe(folders.cache, env), env, folders, PATIENCE_MS);
  const stopped = Promise.withResolvers<void>();
  let isStopped = false;
  process.once("SIGINT", () => {
    isStopped = true;
    stopped.resolve();
  });
  const show = (snapshot: MachineSnapshot): void => {
    process.stdout.write(json ? toJson(snapshot, watch) : toText(snapshot, watch));
  };
  show(await machine.read(0));
  while (watch && !isStopped) {
    await Promise.race([Bun.sleep(WATCH_MS), stopped.promise]);
    if (!isStopped) show(await machine.read(0));
  }
  return EXIT_CODES.ok;
}

/** Without the native files there is still much to tell. */
async function findProbe(cacheFolder: string, env: Environment): Promise<string | null> {
  try {
    return (await locateNativeFiles(cacheFolder, env.ML_OFFLOAD_NATIVE_DIR)).probe;
  } catch (thrown) {
    process.stderr.write(`The native files can't be had: ${(thrown as Error).message}\n`);
    return null;
  }
}

/** Watched: one line each, for programs that read line by line. */
function toJson(snapshot: MachineSnapshot, watch: boolean): string {
  return `${JSON.stringify(snapshot, null, watch ? 0 : 2)}\n`;
}

/** Watched on a terminal: each in the place of the last one. */
function toText(snapshot: MachineSnapshot, watch: boolean): string {
  const text = renderMachine(snapshot);
  if (!watch) return text;
  return process.stdout.isTTY ? `\x1b[H\x1b[2J${text}` : `${text}\n`;
}
