// The converter as a process of its own, and the memory that it takes while it runs.

import { join } from "node:path";
import { cleanEnvironment } from "./child-process.ts";
import { readRssAnon } from "./sparse-folder.ts";

export function startConvert(source: string, home: string, outType: string) {
  const main = join(import.meta.dir, "../../src/main.ts");
  return Bun.spawn([process.execPath, main, "convert", source, "--outtype", outType, "--force"], {
    env: cleanEnvironment({ HOME: home }),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

export interface WatchedRun {
  code: number;
  out: string;
  /** The most private memory that it had, in bytes. */
  largest: number;
}

export async function watchMemory(child: ReturnType<typeof startConvert>): Promise<WatchedRun> {
  let largest = 0;
  const timer = setInterval(() => {
    largest = Math.max(largest, readRssAnon(child.pid));
  }, 5);
  const [code, out] = [await child.exited, await new Response(child.stdout).text()];
  clearInterval(timer);
  return { code, out, largest };
}
