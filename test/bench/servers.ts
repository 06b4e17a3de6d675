// The servers that are compared, as things that can be started, killed and started again in the same home: our compiled
// binary, and llama-server with our settings or with its own.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY, homeEnvironment, isRunning, waitFor } from "../support/binary.ts";
import { answersOk, cleanEnvironment, findFreePort, spawnChild, waitUntilReady } from "../support/child-process.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { BENCH_SPEC, type ModelSpec } from "../support/model-specs.ts";
import { assemblePeer, locatePeer } from "../support/peer.ts";
import { listDescendants } from "./memory.ts";

export interface ServerSettings {
  /** Path of the GGUF file. */
  model: string;
  /** KV tokens of all sequences together. */
  ctx: number;
  parallel: number;
  threads: number;
}

/** llama.cpp's own defaults, said aloud so that both sides have them. */
const BATCH = ["--batch-size", "2048", "--ubatch-size", "512"];

/** A first start tests the plug-ins; a large model is read from disk. */
const START_TIMEOUT_MS = 180_000;

export interface RunningServer {
  url: string;
  pid: number;
  /** From the start of the process until it said that it is ready. */
  readyMs: number;
  /** `kill -9`; resolves when it and its children are gone. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export interface Launcher {
  name: string;
  /** The home keeps what outlives a process; `useHome` gives one that is removed when the work is done. */
  start(settings: ServerSettings, home: string): Promise<RunningServer>;
}

export async function useHome<T>(work: (home: string) => Promise<T>): Promise<T> {
  const home = mkdtempSync(join(tmpdir(), "mlo-bench-"));
  try {
    return await work(home);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

export function launchOurs(): Launcher {
  return {
    name: "ml-offload",
    async start({ model, ctx, parallel, threads }, home) {
      const settings = ["--ctx", String(ctx), "--parallel", String(parallel), "--threads", String(threads), ...BATCH];
      return await startOurs(home, ["--model", model, ...settings]);
    },
  };
}

/** Our binary on a port of its own, with these arguments of `serve`; ready when this resolves. */
export async function startOurs(home: string, args: readonly string[]): Promise<RunningServer> {
  const command = [BINARY, "serve", "--port", "0", "--ready-json", "--log-level", "warn"];
  const startMs = performance.now();
  const child = spawnChild([...command, ...args], { env: homeEnvironment(home) });
  const timer = setTimeout(() => child.kill(), START_TIMEOUT_MS);
  const line = await child.firstLine;
  clearTimeout(timer);
  if (line === null) throw new Error(`our server did not start:\n${child.logTail()}`);
  const readyMs = performance.now() - startMs;
  const { url } = JSON.parse(line) as { url: string };
  return { url: url.replace(/\/$/, ""), ...describeChild(child, readyMs) };
}

/** A folder of the home with these models in it, by name. */
export function linkModels(home: string, models: Readonly<Record<string, ModelSpec>>): string {
  const folder = join(home, "models");
  mkdirSync(folder);
  for (const [name, spec] of Object.entries(models)) symlinkSync(cacheModel(spec), join(folder, `${name}.gguf`));
  return folder;
}

/** Two of 400 MB, with other weights in each. */
export const TWO_MODELS: Readonly<Record<"first" | "second", ModelSpec>> = {
  first: { ...BENCH_SPEC, seed: 60 },
  second: { ...BENCH_SPEC, seed: 61 },
};

/** `flags` are all that is said besides the model and the address; by default our settings. */
export function launchPeer(
  name: string,
  plugins: string[],
  listFlags: (settings: ServerSettings) => string[] = listSameSettings,
): Launcher {
  return {
    name,
    async start(settings, home) {
      const binary = locatePeer();
      if (binary === null) throw new Error("llama-server is not built: npm test builds it");
      const folder = mkdtempSync(join(home, "peer-"));
      const executable = assemblePeer(binary, folder, plugins);
      const url = `http://127.0.0.1:${findFreePort()}`;
      const address = ["--host", "127.0.0.1", "--port", new URL(url).port, "--offline"];
      const startMs = performance.now();
      const child = spawnChild([executable, "--model", settings.model, ...address, ...listFlags(settings)], {
        env: cleanEnvironment({ HOME: home, XDG_CACHE_HOME: home }),
        cwd: folder,
      });
      await waitUntilReady(child, name, START_TIMEOUT_MS, () => answersOk(`${url}/health`));
      return { url, ...describeChild(child, performance.now() - startMs) };
    },
  };
}

export function listSameSettings({ ctx, parallel, threads }: ServerSettings): string[] {
  const counts = ["--ctx-size", String(ctx), "--parallel", String(parallel)];
  return [...counts, "--kv-unified", "--threads", String(threads), "--threads-batch", String(threads), ...BATCH];
}

function describeChild(child: ReturnType<typeof spawnChild>, readyMs: number): Omit<RunningServer, "url"> {
  return {
    pid: child.pid,
    readyMs,
    stop: () => child.stop(),
    async kill() {
      const pids = [child.pid, ...listDescendants(child.pid)];
      child.kill("SIGKILL");
      for (const pid of pids) await waitFor(`process ${pid} ends`, async () => !(await isRunning(pid)));
    },
  };
}
