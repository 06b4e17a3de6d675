// A swap, from a request for a model that is not in memory to its first token: two models of 400 MB in room for one, their
// files in the page cache, beside llama-server's router mode. A script: `bun test/bench/swap.ts [SWAPS]`.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { stream } from "../../src/bench/client.ts";
import { firstTokenMs, median } from "../../src/bench/timing.ts";
import { answersOk, cleanEnvironment, findFreePort, spawnChild, waitUntilReady } from "../support/child-process.ts";
import { listOurPlugins } from "../support/ours-and-peer.ts";
import { assemblePeer, locatePeer } from "../support/peer.ts";
import { askNeed } from "../support/swap-server.ts";
import { linkModels, startOurs, TWO_MODELS, useHome } from "./servers.ts";

const CTX = 4096;
const THREADS = "2";
const START_MS = 60_000;
const NAMES = Object.keys(TWO_MODELS);

interface Router {
  name: string;
  url: string;
  stop(): Promise<void>;
}

await useHome(async (home) => {
  const folder = linkModels(home, TWO_MODELS);
  const measuring = await startRouter(home, folder, 0);
  const swaps = Number(process.argv[2] ?? 10);
  const needBytes = await askNeed(measuring, "first");
  await measuring.stop();
  const ours = await startRouter(home, folder, Math.floor(1.5 * needBytes));
  const routers = [ours];
  try {
    if (locatePeer() === null) console.error("llama-server is not built: only ours is measured");
    else routers.push(await startPeerRouter(home, folder, await listOurPlugins(ours.url)));
    report(routers, await measure(routers, swaps));
  } finally {
    for (const router of routers) await router.stop();
  }
});

function report(routers: readonly Router[], figures: readonly number[][]): void {
  const medians = figures.map((first) => median(first) ?? Number.NaN);
  routers.forEach(({ name }, at) => {
    const sorted = (figures[at] ?? []).toSorted((a, b) => a - b).map(Math.round);
    const range = `${sorted[0]}–${sorted.at(-1)}`;
    console.info(`${name}: median ${Math.round(medians[at] ?? 0)} ms of ${sorted.length} swaps (${range})`);
  });
  const [mine, theirs] = medians;
  if (mine !== undefined && theirs !== undefined) console.info(`ratio ${(mine / theirs).toFixed(2)}`);
}

/** Asks each in turn for the one that it does not have in memory, so that what else the machine does is shared. */
async function measure(routers: readonly Router[], swaps: number): Promise<number[][]> {
  const figures = routers.map((): number[] => []);
  for (let at = -2; at < swaps; at++) {
    for (const [index, { url }] of routers.entries()) {
      const target = { url, apiKey: null, model: NAMES[(at + 2) % 2] ?? "" };
      const answer = await stream(target, { prompt: `Swap ${at} of a few: `, maxTokens: 4 });
      // The first two read the files, and test plug-ins.
      if (at >= 0) figures[index]?.push(firstTokenMs(answer) ?? Number.NaN);
    }
  }
  return figures;
}

async function startRouter(home: string, folder: string, budgetBytes: number): Promise<Router> {
  const limits = ["--ctx", String(CTX), "--parallel", "1", "--threads", THREADS, "--discover", "off"];
  const budget = ["--memory-budget", String(budgetBytes)];
  const server = await startOurs(home, ["--models-dir", folder, ...budget, ...limits]);
  return { name: "ml-offload", url: server.url, stop: () => server.stop() };
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
