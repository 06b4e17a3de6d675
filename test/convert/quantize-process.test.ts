// Quantising as processes: the memory of both while they work, and what is left when one of them is killed, when it is
// stopped, and when the disk is full.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readGgufHeader } from "../../src/formats/gguf/read-header.ts";
import { withFile } from "../../src/formats/read-at.ts";
import { discoverModels } from "../../src/models/discover.ts";
import { canMountDisks, quantizeOnSmallDisk, runConvert, startConvert } from "../support/convert-command.ts";
import { HAS_NATIVE, NATIVE_FOLDER } from "../support/llama-library.ts";
import { makeRandom } from "../support/random.ts";
import { fillWeights, listChildren, readRssAnon, writeSparseFolder } from "../support/sparse-folder.ts";
import { TINY, type TinyDecoder } from "../support/tiny-decoders.ts";

/** 160 MB of BF16 in matrices of 25 MB, which the quantiser takes in two slabs each. */
const LARGE: TinyDecoder = {
  ...TINY,
  width: 1024,
  inner: 12288,
  heads: 8,
  keyValueHeads: 2,
  headLength: 128,
  layers: 2,
};
const LARGEST_BYTES = LARGE.width * LARGE.inner * 2;
const RSS_ANON_MAX = 2 * LARGEST_BYTES + 200e6;

const root = mkdtempSync(join(tmpdir(), "mlo-quantize-process-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const source = join(root, "Large");
const home = join(root, "home");
const models = join(home, ".local/share/ml-offload/models");
const isLinux = process.platform === "linux";

beforeAll(() => {
  writeSparseFolder(source, LARGE);
  // Blocks of zeros would be quantised in no time.
  fillWeights(source);
});

const start = () => startConvert([source, "--outtype", "q4_k_m", "--force"], home);

/** Waits until a conversion has come so far; null: it ended before. */
async function waitForProgress(
  stream: ReadableStream<Uint8Array>,
  phase: 1 | 2,
  least: number,
): Promise<number | null> {
  let log = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    log += decoder.decode(chunk, { stream: true });
    const percents = [...log.matchAll(/^([12])\/2 \w+ +(\d+)%/gm)].filter((match) => Number(match[1]) === phase);
    const found = percents.map((match) => Number(match[2])).find((percent) => percent >= least);
    if (found !== undefined) return found;
  }
  return null;
}

/** A process that was killed is gone, or waits to be reaped. */
async function waitUntilGone(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}`) && readRssAnon(pid) > 0) await Bun.sleep(5);
}

function listModels(): string[] {
  if (!existsSync(models)) return [];
  const found = discoverModels({ models: [], modelsDirs: [models] }).models;
  // What is listed reads as a whole file.
  for (const { files } of found) withFile(files[0] ?? "", (file) => readGgufHeader(file));
  return found.map(({ name }) => name);
}

describe.skipIf(!HAS_NATIVE)("quantising", () => {
  test.skipIf(!isLinux)("takes bounded memory, in both processes", async () => {
    const child = start();
    const largest = { own: 0, child: 0, sum: 0 };
    const timer = setInterval(() => {
      const own = readRssAnon(child.pid);
      const others = listChildren(child.pid).reduce((sum, pid) => sum + readRssAnon(pid), 0);
      largest.own = Math.max(largest.own, own);
      largest.child = Math.max(largest.child, others);
      largest.sum = Math.max(largest.sum, own + others);
    }, 5);
    expect(await child.exited).toBe(0);
    clearInterval(timer);
    const inMb = Object.entries(largest).map(([name, bytes]) => `${name} ${(bytes / 1e6).toFixed(0)} MB`);
    console.log(`q4_k_m: RssAnon at most ${inMb.join(", ")}`);
    // Both were looked at while they ran.
    expect(largest.own).toBeGreaterThan(5e6);
    expect(largest.child).toBeGreaterThan(5e6);
    expect(largest.own).toBeLessThan(RSS_ANON_MAX);
    expect(largest.child).toBeLessThan(RSS_ANON_MAX);
  });

  test.skipIf(!isLinux)("killed at any moment it leaves nothing that is listed, and no process", async () => {
    rmSync(models, { recursive: true, force: true });
    const random = makeRandom(11);
    const moments = Array.from({ length: 10 }, (_, round) => ({
      phase: round % 3 === 0 ? (1 as const) : (2 as const),
      percent: 10 * (1 + random(8)),
      victim: round % 2 === 0 ? "command" : "child",
    }));
    let killed = 0;
    for (const { phase, percent, victim } of moments) {
      const child = start();
      expect(await waitForProgress(child.stderr, phase, percent)).not.toBeNull();
      const others = listChildren(child.pid);
      const [quantizer] = others;
      process.kill(victim === "child" && quantizer !== undefined ? quantizer : child.pid, "SIGKILL");
      const code = await child.exited;
      for (const pid of others) await waitUntilGone(pid);
      const listed = listModels();
      if (code !== 0) {
        killed += 1;
        expect(listed).toEqual([]);
      }
      // A command whose child died has tidied up; one that was killed could not.
      const left = existsSync(models) ? readdirSync(models) : [];
      if (code === 1) expect(left.filter((name) => name.includes(`.${child.pid}.`))).toEqual([]);
      for (const name of left) if (!listed.includes("Large-Q4_K_M")) expect(name).toMatch(/^\..*\.partial$/);
      rmSync(join(models, "Large-Q4_K_M.gguf"), { force: true });
    }
    expect(killed).toBeGreaterThan(5);
    for (const name of readdirSync(models)) utimesSync(join(models, name), new Date(0), new Date(0));
    expect(await start().exited).toBe(0);
    expect(readdirSync(models)).toEqual(["Large-Q4_K_M.gguf"]);
    expect(listModels()).toEqual(["Large-Q4_K_M"]);
  });

  test.skipIf(!isLinux).each(["SIGINT", "SIGTERM"] as const)("%s while it quantises leaves nothing", async (signal) => {
    rmSync(models, { recursive: true, force: true });
    const child = start();
    expect(await waitForProgress(child.stderr, 2, 10)).not.toBeNull();
    const others = listChildren(child.pid);
    // A terminal tells all of its processes, in no order.
    if (signal === "SIGINT") for (const pid of others) process.kill(pid, signal);
    child.kill(signal);
    expect(await child.exited).toBe(130);
    for (const pid of others) await waitUntilGone(pid);
    expect(readdirSync(models)).toEqual([]);
  });

  const tool = join(NATIVE_FOLDER, "llama-quantize");
  if (!existsSync(tool)) console.error("skipped: llama-quantize is not built (build/native/llama-quantize)");
  test.skipIf(!existsSync(tool))("in slabs gives the bytes of llama-quantize, which takes whole tensors", async () => {
    const [plain, ours, theirs] = ["plain", "ours", "theirs"].map((name) => join(root, `${name}.gguf`));
    for (const [target, outType] of [
      [plain, "bf16"],
      [ours, "q4_k_m"],
    ]) {
      expect(await runConvert([source, target ?? "", "--outtype", outType ?? ""], home)).toMatchObject({ code: 0 });
    }
    expect(Bun.spawnSync([tool, plain ?? "", theirs ?? "", "q4_k_m"]).exitCode).toBe(0);
    expect(readFileSync(ours ?? "").equals(readFileSync(theirs ?? ""))).toBe(true);
  });

  test("a full disk is told as one", async () => {
    const disk = join(root, "disk");
    mkdirSync(disk);
    if (!isLinux || !canMountDisks(disk)) {
      console.error("skipped: a small disk of its own can't be mounted here");
      return;
    }
    const { path } = await runConvert([source, join(root, "whole.gguf"), "--outtype", "bf16"], home);
    const answer = await quantizeOnSmallDisk(path, disk, 3);
    expect(answer).toStartWith("storage_unavailable: the quantised file can't be written");
  });
});
