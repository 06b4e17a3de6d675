// Runs `convert` of the source tree as a process: the quantiser's child is this program again, so it needs a program of its
// own and not the tests'.

import { join } from "node:path";
import { cleanEnvironment } from "./child-process.ts";

export const MAIN = join(import.meta.dir, "../../src/main.ts");
/** See it. */
const QUANTIZE = join(import.meta.dir, "quantize-program.ts");

export interface CommandResult {
  code: number | null;
  /** What was printed, without the line break. */
  path: string;
  log: string;
}

export function startConvert(args: readonly string[], home: string) {
  return Bun.spawn([process.execPath, MAIN, "convert", ...args], {
    env: cleanEnvironment({ HOME: home }),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

export async function runConvert(args: readonly string[], home: string): Promise<CommandResult> {
  const child = startConvert(args, home);
  const [out, log] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, path: out.trim(), log };
}

/** The quantiser alone, on a disk of so many MiB: the words of its error. */
export async function quantizeOnSmallDisk(source: string, folder: string, megabytes: number): Promise<string> {
  const script = `mount -t tmpfs -o size=${megabytes}m tmpfs "$1" && "$2" "$3" "$4" "$1/out.gguf"; ls -A "$1"`;
  const words = [folder, process.execPath, QUANTIZE, source];
  const child = Bun.spawn(["unshare", "-rm", "sh", "-c", script, "sh", ...words], {
    env: cleanEnvironment({}),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  return await new Response(child.stdout).text();
}

/** Whether this machine lets its users mount a disk of their own. */
export function canMountDisks(folder: string): boolean {
  const script = 'mount -t tmpfs -o size=1m tmpfs "$1"';
  return Bun.spawnSync(["unshare", "-rm", "sh", "-c", script, "sh", folder]).exitCode === 0;
}
