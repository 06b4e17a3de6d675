// What a one-shot child answers: how well the CPU variants fit, whether a plug-in really computes, what a load would
// take; and what it does: quantising a file.

import type { NativeLibrary } from "../ffi/library.ts";
import type { EngineSettings, JobAnswer, JobQuestion } from "../protocol/messages.ts";
import type { BatchPart } from "./backend.ts";
import { loadBackend, startPlugins } from "./load.ts";
import { measureNeed } from "./measure.ts";
import type { LoadHooks } from "./open-model.ts";
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
    case "quantize":
      quantizeFile(library, question, hooks);
      return { job: "quantize" };
  }
}

function score(library: NativeLibrary, path: string): { path: string; score: number; error?: string } {
  try {
    return { path, score: library.scorePlugin(path) };
  } catch (thrown) {
    return { path, score: 0, error: (thrown as Error).message };
  }
}

/** Multiplies quantised matrices and reads a short prompt. A variant that can't do that dies here, in a child. */
function selfTest(library: NativeLibrary, plugin: string, modelPath: string): string[] {
  startPlugins(library, [plugin]);
  const devices = library.devices();
  // A GPU back end has no arithmetic of its own to compare with here: that it starts is what can be said.
  if (!devices.some((device) => device.kind === "cpu")) return devices.map((device) => device.name);
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
