// A real server with four generated models and memory for two: what its processes hold at any time, clients that ask one after
// the other, and the router's own figures.

import { mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { readProcessMemory } from "../../src/hardware/process-memory.ts";
import { cacheModel } from "./gguf-builder.ts";
import type { Json } from "./http-app.ts";
import { TINY_SPEC } from "./model-specs.ts";
import type { Server } from "./server.ts";

const SWAP_CTX = 512;
export const SWAP_MODELS = ["one", "two", "three", "four"] as const;

/** A folder of models of one size. */
export function makeSwapModels(folder: string): string {
  const models = join(folder, "models");
  mkdirSync(models, { recursive: true });
  SWAP_MODELS.forEach((name, at) => {
    symlinkSync(cacheModel({ ...TINY_SPEC, seed: 900 + at }), join(models, `${name}.gguf`));
  });
  return models;
}

export function swapArguments(models: string, budgetBytes: number): string[] {
  const limits = ["--ctx", String(SWAP_CTX), "--parallel", "4", "--threads", "1", "--discover", "off"];
  return ["--models-dir", models, "--memory-budget", String(budgetBytes), ...limits];
}

/** What an engine of a model takes, as the server itself says it. */
export async function askNeed(server: Pick<Server, "url">, model: string): Promise<number> {
  await complete(server, model, "x");
  const { models } = await readStatus(server);
  return models.find(({ id }: Json) => id === model).plannedBytes[0];
}

export async function readStatus(server: Pick<Server, "url">): Promise<Json> {
  return await (await fetch(`${server.url}/api/models/status`)).json();
}

export async function complete(server: Pick<Server, "url">, model: string, prompt: string, more: object = {}) {
  const body = JSON.stringify({ model, prompt, max_tokens: 4, temperature: 0, ignore_eos: true, ...more });
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${server.url}/v1/completions`, { method: "POST", headers, body });
  return { status: response.status, json: (await response.json()) as Json };
}

/**
 * Engines of a server that are there now: those that load and those that end among them. With what they have of their own: what
 * is mapped are mostly the program and its libraries, which all of them share.
 */
export function listEngines(serverPid: number): { pid: number; anonBytes: number }[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const pid = Number(name);
      try {
        const parent = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
        const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        if (parent !== serverPid || !command.includes("engine") || command.includes("--job")) return [];
        const memory = readProcessMemory(pid);
        // One that has ended and is not yet reaped has none.
        return memory === null ? [] : [{ pid, anonBytes: memory.anonBytes }];
      } catch (_gone) {
        // Between the listing and the reading.
        return [];
      }
    });
}

export interface Watched {
  enginesMax: number;
  bytesMax: number;
  stop(): void;
}

/** Looks every few milliseconds. */
export function watchEngines(serverPid: number): Watched {
  const look = (): void => {
    const engines = listEngines(serverPid);
    watched.enginesMax = Math.max(watched.enginesMax, engines.length);
    watched.bytesMax = Math.max(
      watched.bytesMax,
      engines.reduce((sum, { anonBytes }) => sum + anonBytes, 0),
    );
  };
  const timer = setInterval(look, 10);
  const watched: Watched = { enginesMax: 0, bytesMax: 0, stop: () => clearInterval(timer) };
  return watched;
}
