// A swap, from a request for a model that is not in memory to its first token: two models of 400 MB in room for one, their
// files in the page cache, beside llama-server's router mode. A script: `bun test/bench/swap.ts [SWAPS]`.

import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { stream } from "../../src/bench/client.ts";
import { firstTokenMs, median } from "../../src/bench/timing.ts";
import { estimateNeedBytes } from "../../src/models/rough-need.ts";
import { BINARY, homeEnvironment } from "../support/binary.ts";
import { answersOk, cleanEnvironment, findFreePort, spawnChild, waitUntilReady } from "../support/child-process.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { BENCH_SPEC } from "../support/model-specs.ts";
import { listOurPlugins } from "../support/ours-and-peer.ts";
import { assemblePeer, locatePeer } from "../support/peer.ts";
import { useHome } from "./servers.ts";

const CTX = 4096;
const THREADS = "2";
const START_MS = 60_000;
const NAMES = ["first", "second"];

interface Router {
  name: string;
  url: string;
  stop(): Promise<void>;
}

await useHome(async (home) => {
  const folder = join(home, "models");
  mkdirSync(folder);
  const paths = NAMES.map((name, at) => {
    const path = cacheModel({ ...BENCH_SPEC, seed: 60 + at });
    symlinkSync(path, join(folder, `${name}.gguf`));
    return path;
  });
  const swaps = Number(process.argv[2] ?? 10);
  const ours = await startOurs(home, folder, paths);
  const plugins = await listOurPlugins(ours.url);
  const figures: { name: string; first: number[] }[] = [{ name: ours.name, first: await measure(ours, swaps) }];
  await ours.stop();
  if (locatePeer() === null) console.error("llama-server is not built: only ours is measured");
  else {
    const peer = await startPeerRouter(home, folder, plugins);
    figures.push({ name: peer.name, first: await measure(peer, swaps) });
    await peer.stop();
  }
  for (const { name, first } of figures) {
    const sorted = first.toSorted((a, b) => a - b).map(Math.round);
    console.info(
      `${name}: median ${Math.round(median(first) ?? 0)} ms of ${first.length} swaps (${sorted[0]}–${sorted.at(-1)})`,
    );
  }
  const [mine, theirs] = figures.map(({ first }) => median(first) ?? 0);
  if (theirs !== undefined) console.info(`ratio ${((mine ?? 0) / theirs).toFixed(2)}`);
});

/** Asks for the one that is not in memory, again and again. */
async function measure({ url }: Router, swaps: number): Promise<number[]> {
  const first: number[] = [];
  for (let at = -2; at < swaps; at++) {
    const target = { url, apiKey: null, model: NAMES[(at + 2) % 2] ?? "" };
    const answer = await stream(target, { prompt: `Swap ${at} of a few: `, maxTokens: 4 });
    // The first two read the files, and test plug-ins.
    if (at >= 0) first.push(firstTokenMs(answer) ?? Number.NaN);
  }
  return first;
}

async function startOurs(home: string, folder: string, paths: readonly string[]): Promise<Router> {
  const needs = paths.map((path) => estimateNeedBytes({ path, sizeBytes: Bun.file(path).size }, CTX));
  const budget = String(Math.floor(1.5 * Math.max(...needs)));
  const command = [BINARY, "serve", "--port", "0", "--ready-json", "--log-level", "warn", "--models-dir", folder];
  const limits = ["--memory-budget", budget, "--ctx", String(CTX), "--parallel", "1", "--threads", THREADS];
  const child = spawnChild([...command, ...limits, "--discover", "off"], { env: homeEnvironment(home) });
  const line = await child.firstLine;
  if (line === null) throw new Error(`our server did not start:\n${child.logTail()}`);
  const { url } = JSON.parse(line) as { url: string };
  return { name: "ml-offload", url: url.replace(/\/$/, ""), stop: () => child.stop() };
}

async function startPeerRouter(home: string, folder: string, plugins: string[]): Promise<Router> {
  const binary = locatePeer() ?? "";
  const own = join(home, "peer");
  mkdirSync(own);
  const executable = assemblePeer(binary, own, plugins);
  const url = `http://127.0.0.1:${findFreePort()}`;
  const address = ["--host", "127.0.0.1", "--port", new URL(url).port, "--offline", "--models-dir", folder];
  const limits = ["--models-max", "1", "--ctx-size", String(CTX), "--parallel", "1", "--threads", THREADS];
  const child = spawnChild([executable, ...address, ...limits], {
    env: cleanEnvironment({ HOME: own, XDG_CACHE_HOME: own }),
    cwd: own,
  });
  await waitUntilReady(child, "llama-server", START_MS, () => answersOk(`${url}/health`));
  return { name: "llama-server --models-max 1", url, stop: () => child.stop() };
}
