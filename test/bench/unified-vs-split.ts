// What one KV pool for all sequences costs beside a part for each: llama-server against itself, with and without
// `--kv-unified`. Nothing to reach; it says what the sharing of prefixes is paid with.

import type { Figures, Metric, Scenario } from "../../src/bench/scenario.ts";
import { streamTogether } from "../../src/bench/scenarios/streams.ts";
import { overlapRate } from "../../src/bench/timing.ts";
import { type Startable, startWarm } from "./process-scenarios.ts";
import { type Launcher, launchPeer, listSameSettings, useHome } from "./servers.ts";

const SEQUENCES = [8, 32];
/** With 32 sequences and 32,768 tokens a split cache gives each 1,024. */
const SIZE = { promptWords: 640, maxTokens: 64 };

export const UNIFIED_VS_SPLIT: Scenario<Startable> = {
  name: "unified-vs-split",
  summary: `llama-server with one KV pool and with one per sequence; different prompts of ${SIZE.promptWords} words`,
  metrics: SEQUENCES.flatMap((count): Metric[] => [
    { key: `rate_${count}`, label: `${count} sequences: while all decode`, unit: "tokens/s", better: "more" },
    { key: `total_${count}`, label: `${count} sequences: total time`, unit: "ms", better: "less" },
  ]),
  async run({ launcher, settings }, { seed }): Promise<Figures> {
    const figures: Record<string, number | null> = {};
    for (const count of SEQUENCES) {
      await useHome(async (home) => {
        const { server, target } = await startWarm({ launcher, settings: { ...settings, parallel: count } }, home);
        try {
          const startMs = performance.now();
          const records = await streamTogether(target, { seed: `${seed}/${count}` }, count, SIZE);
          figures[`total_${count}`] = performance.now() - startMs;
          figures[`rate_${count}`] = overlapRate(records);
        } finally {
          await server.stop();
        }
      });
    }
    return figures;
  },
};

export function launchUnifiedAndSplit(plugins: string[]): Launcher[] {
  const split = (flags: string[]): string[] =>
    flags.map((flag) => (flag === "--kv-unified" ? "--no-kv-unified" : flag));
  return [
    launchPeer("unified", plugins),
    launchPeer("split", plugins, (settings) => split(listSameSettings(settings))),
  ];
}
