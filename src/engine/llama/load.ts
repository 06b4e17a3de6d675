// Loads the native library, the plug-ins and the model into this process, and makes the backend over them.

import { readFileSync } from "node:fs";
import { basename } from "node:path";
import type { NativeLibrary } from "../../ffi/library.ts";
import type { EngineSettings } from "../../protocol/messages.ts";
import { type LoadedModelInfo, readTrainedLength } from "../../protocol/model-info.ts";
import { LlamaBackend } from "./llama-backend.ts";
import { loadPlugin } from "./load-plugin.ts";
import { restOfLoaded, sumNeed } from "./memory-sum.ts";
import { closeModel, type LoadHooks, type OpenedModel, openModel } from "./open-model.ts";

/** Loads the plug-ins, in order, and starts llama.cpp over them. */
export function startPlugins(library: NativeLibrary, plugins: readonly string[]): void {
  for (const plugin of plugins) loadPlugin(library, plugin);
  library.start();
}

/** Throws AppError: `model_damaged` or `out_of_memory`, with llama.cpp's own lines. */
export function loadBackend(library: NativeLibrary, settings: EngineSettings, hooks: LoadHooks): LlamaBackend {
  const started = performance.now();
  const opened = openModel(library, settings, { hooks, layOut: false });
  const { model, context, plan, drafter } = opened;
  try {
    const info = { ...describeModel(opened, settings), loadMs: performance.now() - started };
    return new LlamaBackend(library, model, context, plan, info, drafter);
  } catch (thrown) {
    closeModel(opened);
    throw thrown;
  }
}

function describeModel(opened: OpenedModel, settings: EngineSettings): Omit<LoadedModelInfo, "loadMs"> {
  const { facts, plan, context, contexts, draft, head } = opened;
  const settled = context.facts();
  const rssAnonBytes = readRssAnon();
  const trained = readTrainedLength(facts.trainedContextLength);
  return {
    architecture: facts.architecture,
    description: facts.description,
    parameterCount: facts.parameterCount,
    sizeBytes: facts.sizeBytes,
    vocabularySize: facts.vocabularySize,
    embeddingLength: facts.embeddingLength,
    trainedContextLength: trained,
    contextLength: settled.contextLength,
    sequenceContextLength: Math.min(settled.sequenceContextLength, plan.main.contextLength, trained ?? Infinity),
    parallel: plan.parallel,
    retainedMax: plan.retainedMax,
    // A step of one micro batch: a larger one computes nothing faster, and keeps newcomers and cancels waiting.
    batchSize: plan.canGenerate ? plan.main.microBatchSize : plan.main.batchSize,
    memory: settled.memory,
    pooling: plan.pooling,
    canGenerate: plan.canGenerate,
    hasChatTemplate: facts.hasChatTemplate,
    argumentFormat: facts.argumentFormat,
    devices: facts.devices.length === 0 ? ["CPU"] : facts.devices,
    cpuBackend: settings.plugins.map((path) => basename(path)).find((name) => name.includes("cpu")) ?? "",
    threads: plan.main.threads,
    draft: draft?.info ?? null,
    head: head.info,
    rssAnonBytes,
    memoryNeed: rssAnonBytes === null ? null : sumNeed(contexts, restOfLoaded(rssAnonBytes, contexts)),
  };
}

/** Resident anonymous memory of this process in bytes; null where the system does not tell. */
export function readRssAnon(): number | null {
  if (process.platform !== "linux") return null;
  const match = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"));
  return match?.[1] === undefined ? null : Number(match[1]) * 1024;
}
