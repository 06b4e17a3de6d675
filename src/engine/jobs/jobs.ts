// What a one-shot child answers: how well the CPU variants fit, whether a plug-in really computes, how fast the machine is,
// what a load would take; and what it does: quantising a file.

import { basename } from "node:path";
import type { NativeLibrary } from "../../ffi/library.ts";
import type { BackendDevice } from "../../protocol/machine.ts";
import type { MachineRates } from "../../protocol/machine-rates.ts";
import type { EngineSettings, JobAnswer, JobQuestion } from "../../protocol/messages.ts";
import type { BatchPart } from "../backend.ts";
import { loadBackend, startPlugins } from "../llama/load.ts";
import { startGpuPlugin } from "../llama/load-plugin.ts";
import type { LoadHooks } from "../llama/open-model.ts";
import { measureNeed } from "./measure.ts";
import { quantizeFile } from "./quantize.ts";

/** Long enough for the tiled kernels of a prefill, which single tokens do not reach. */
const PREFILL_TOKENS = 96;

export function answerJob(library: NativeLibrary, question: JobQuestion, hooks: LoadHooks): JobAnswer {
  switch (question.job) {
    case "scores":
      return { job: "scores", scores: question.plugins.map((path) => score(library, path)) };
    case "selftest":
      return { job: "selftest", devices: selfTest(library, question.plugin, question.modelPath) };
    case "measure":
      return { job: "measure", measured: measureNeed(library, question.settings, hooks) };
    case "devices":
      return { job: "devices", devices: listDevices(library, question.plugins) };
    case "quantize":
      quantizeFile(library, question, hooks);
      return { job: "quantize" };
    case "bench":
      startPlugins(library, question.plugins);
      return { job: "bench", ...measureRates(library, question.threads, question.diskPath) };
  }
}

/** Null in place of what could not be measured. */
function measureRates(library: NativeLibrary, threads: number, diskPath: string | null): MachineRates {
  const devices = library.devices();
  const { devices: measured, diskBytesPerSecond } = library.bench(threads, diskPath ?? "");
  return {
    devices: measured.map(({ name, rates }) => {
      const { kind = "accelerator", memoryBytes = 0 } = devices.find((device) => device.name === name) ?? {};
      return { name, kind, totalBytes: memoryBytes > 0 ? memoryBytes : null, rates };
    }),
    diskBytesPerSecond: diskBytesPerSecond > 0 ? diskBytesPerSecond : null,
  };
}

function score(library: NativeLibrary, path: string): { path: string; score: number; error?: string } {
  try {
    return { path, score: library.scorePlugin(path) };
  } catch (thrown) {
    return { path, score: 0, error: (thrown as Error).message };
  }
}

function listDevices(library: NativeLibrary, plugins: readonly string[]): BackendDevice[] {
  startPlugins(library, plugins);
  return library
    .devices()
    .map(({ name, description, kind, memoryBytes }) => ({ name, description, kind, memoryBytes }));
}

/** Multiplies quantised matrices and reads a short prompt. A variant that can't do that dies here, in a child. */
function selfTest(library: NativeLibrary, plugin: string, modelPath: string): string[] {
  // A GPU back end has no arithmetic of its own to compare with here: that it starts is what can be said.
  if (!basename(plugin).startsWith("libggml-cpu")) {
    startGpuPlugin(library, plugin);
    return library.devices().map((device) => device.name);
  }
  startPlugins(library, [plugin]);
  const devices = library.devices();
  library.selfTestMatmul();
  const settings: EngineSettings = {
    modelPath,
    plugins: [plugin],
    contextLength: 2 * PREFILL_TOKENS,
    parallel: 1,
    batchSize: PREFILL_TOKENS,
    microBatchSize: PREFILL_TOKENS,
    threads: 1,
    gpuLayers: 0,
    itlMsMax: 0,
    speculates: false,
    draft: null,
    retainedMax: 0,
    kvStore: null,
    adapters: [],
  };
  using backend = loadBackend(library, settings, {
    onProgress: () => {},
    wait: (timeoutMs) => Bun.sleepSync(Math.min(timeoutMs, 1)),
  });
  const tokens = Array.from({ length: PREFILL_TOKENS }, (_, i) => i + 4);
  const sampling = { temperature: 0 };
  using task = backend.preparePrompt({ kind: "tokens", tokens }, sampling);
  while (task.poll().kind === "running") Bun.sleepSync(1);
  using prompt = task.take();
  using sampler = backend.makeSampler(sampling, prompt);
  const part: BatchPart = { seqId: 0, tokens: prompt.tokens, start: 0, output: true };
  if (backend.decode([part]) !== "done") throw new Error("the prefill did not run");
  const [sampled] = backend.sample([sampler]);
  const { logits } = backend.topLogits(2);
  if (sampled?.kind !== "token" || !logits.every(Number.isFinite)) throw new Error("the prefill gave no finite logits");
  return devices.map((device) => device.name);
}
