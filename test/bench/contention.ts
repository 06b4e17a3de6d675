// Answers while something else computes: tokens per second and the first token of one stream beside so many busy processes, and
// of two engines that answer at once. A script: `bun test/bench/contention.ts [ANSWERS]`.

import { stream } from "../../src/bench/client.ts";
import { decodeRate, firstTokenMs, median, type StreamRecord } from "../../src/bench/timing.ts";
import { linkModels, startOurs, TWO_MODELS, useHome } from "./servers.ts";

const NAMES = Object.keys(TWO_MODELS);
const TOKENS = 48;

await useHome(async (home) => {
  const limits = ["--ctx", "4096", "--parallel", "1", "--discover", "off"];
  const server = await startOurs(home, ["--models-dir", linkModels(home, TWO_MODELS), ...limits]);
  try {
    await measure(server.url, Number(process.argv[2] ?? 6));
  } finally {
    await server.stop();
  }
});

async function measure(url: string, answers: number): Promise<void> {
  const ask = (model: string, at: number) =>
    stream({ url, apiKey: null, model }, { prompt: `Answer ${at} of a few: `, maxTokens: TOKENS });
  for (const name of NAMES) await ask(name, -1);
  for (const busy of [0, 1, 2]) {
    const others = Array.from({ length: busy }, () => Bun.spawn(["sh", "-c", "while :; do :; done"]));
    try {
      const records: StreamRecord[] = [];
      for (let at = 0; at < answers; at++) records.push(await ask("first", at));
      report(`${busy} busy processes`, records);
    } finally {
      for (const other of others) other.kill("SIGKILL");
    }
  }
  const both: StreamRecord[] = [];
  for (let at = 0; at < answers; at++) both.push(...(await Promise.all(NAMES.map((name) => ask(name, at)))));
  report("two engines at once, each", both);
}

function report(what: string, records: readonly StreamRecord[]): void {
  const rate = median(records.map((record) => decodeRate(record) ?? Number.NaN)) ?? Number.NaN;
  const firstMs = median(records.map((record) => firstTokenMs(record) ?? Number.NaN)) ?? Number.NaN;
  console.info(`${what}: ${rate.toFixed(1)} tokens/s, first token ${Math.round(firstMs)} ms`);
}
