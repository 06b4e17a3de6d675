// Loads the native library, the plug-ins and the model into this process, and makes the backend over them.

import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { NativeContext } from "../ffi/context.ts";
import type { NativeLibrary } from "../ffi/library.ts";
import { type ModelLoadSettings, NativeModel } from "../ffi/model.ts";
import { NativeError } from "../ffi/native-error.ts";
import { AppError } from "../protocol/errors.ts";
import type { EngineSettings } from "../protocol/messages.ts";
import type { LoadedModelInfo, MemoryKind } from "../protocol/model-info.ts";
import { type ContextPlan, planContexts, planDraftContext } from "./context-plan.ts";
import { findCudaLibraries } from "./cuda-libraries.ts";
import type { Drafter } from "./drafter.ts";
import { LlamaBackend } from "./llama-backend.ts";
import { checkMemory, LlamaDrafter } from "./llama-drafter.ts";
import { chooseHead } from "./llama-head.ts";

/** Between two looks at a running load; a job that ends wakes the wait early. */
const PROGRESS_MS = 100;

export interface LoadHooks {
  onProgress(fraction: number): void;
  /** Waits for a job's end or for the time to pass. */
  wait(timeoutMs: number): void;
}

/** Loads the plug-ins, in order, and starts llama.cpp over them. */
export function startPlugins(library: NativeLibrary, plugins: readonly string[]): void {
  for (const plugin of plugins) {
    if (basename(plugin).includes("cuda")) for (const path of findCudaLibraries(process.env)) library.preload(path);
    library.loadPlugin(plugin);
  }
  library.start();
}

/** Throws AppError: `model_damaged` or `out_of_memory`, with llama.cpp's own lines. */
export function loadBackend(library: NativeLibrary, settings: EngineSettings, hooks: LoadHooks): LlamaBackend {
  const started = performance.now();
  const head = (settings.head ?? null) !== null && settings.draft === null;
  const model = loadModel(library, settings.modelPath, { ...describePlaces(settings), head }, hooks);
  let context: NativeContext | null = null;
  let drafter: Drafter | null = null;
  try {
    const facts = model.facts();
    const cores = availableParallelism();
    const plan = planContexts(settings, facts, cores);
    loadAdapters(model, settings.adapters, plan.canGenerate);
    context = makeContext(model, plan.main);
    const settled = context.facts();
    const target = { model, memory: settled.memory, plan };
    const draft = plan.canGenerate ? loadDrafter(library, settings, target, hooks) : null;
    drafter = draft;
    const headPlan = plan.canGenerate ? planDraftContext(settings, plan, facts, cores) : null;
    const chosen = chooseHead(settings, { model, facts, context, plan: headPlan });
    drafter ??= chosen.head;
    const info: LoadedModelInfo = {
      architecture: facts.architecture,
      description: facts.description,
      parameterCount: facts.parameterCount,
      sizeBytes: facts.sizeBytes,
      vocabularySize: facts.vocabularySize,
      embeddingLength: facts.embeddingLength,
      trainedContextLength: facts.trainedContextLength,
      contextLength: settled.contextLength,
      sequenceContextLength: Math.min(
        settled.sequenceContextLength,
        plan.main.contextLength,
        facts.trainedContextLength,
      ),
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
      head: chosen.info,
      loadMs: performance.now() - started,
      rssAnonBytes: readRssAnon(),
    };
    return new LlamaBackend(library, model, context, plan, info, drafter);
  } catch (thrown) {
    drafter?.[Symbol.dispose]();
    context?.[Symbol.dispose]();
    model[Symbol.dispose]();
    throw thrown;
  }
}

function describePlaces({ gpuLayers, deviceShares = [], hostExpertLayers = 0 }: EngineSettings): ModelLoadSettings {
  return { gpuLayers, hostExpertLayers, ...(deviceShares.length === 0 ? {} : { deviceShares }) };
}

interface Target {
  model: NativeModel;
  memory: MemoryKind;
  plan: ContextPlan;
}

/** Throws AppError when the draft model does not load, or can't guess for this one. */
function loadDrafter(
  library: NativeLibrary,
  settings: EngineSettings,
  target: Target,
  hooks: LoadHooks,
): LlamaDrafter | null {
  const { draft } = settings;
  if (draft === null) return null;
  checkMemory(target.memory, "This model");
  const model = loadModel(library, draft.modelPath, describePlaces(settings), hooks);
  let context: NativeContext | null = null;
  try {
    context = makeContext(model, planDraftContext(settings, target.plan, model.facts(), availableParallelism()));
    return LlamaDrafter.make(target.model, model, context, draft);
  } catch (thrown) {
    context?.[Symbol.dispose]();
    model[Symbol.dispose]();
    throw thrown;
  }
}

function loadModel(library: NativeLibrary, path: string, settings: ModelLoadSettings, hooks: LoadHooks): NativeModel {
  using job = NativeModel.load(library, path, settings);
  for (;;) {
    const state = job.poll();
    if (state.kind === "done") return job.take();
    if (state.kind === "failed") throw loadError(path, state.error);
    hooks.onProgress(state.progress);
    hooks.wait(PROGRESS_MS);
  }
}

/** Before the context, whose graphs must have room for them. */
function loadAdapters(model: NativeModel, paths: readonly string[], canGenerate: boolean): void {
  if (paths.length > 0 && !canGenerate) {
    const message = "LoRA adapters change what a model generates, and this one only embeds.";
    throw new AppError({ code: "not_supported", message, hint: "Start without --lora." });
  }
  for (const path of paths) {
    try {
      model.loadAdapter(path);
    } catch (thrown) {
      if (!(thrown instanceof NativeError)) throw thrown;
      const message = `the LoRA adapter ${basename(path)} can't be used: ${thrown.message}`;
      const hint = "Start without it, or with one that was made for this model.";
      throw new AppError({ code: "format_unsupported", message, hint }, { cause: thrown });
    }
  }
}

function loadError(path: string, error: Error): AppError {
  const outOfMemory = /out of memory|failed to allocate|unable to allocate|cudaMalloc/i.test(error.message);
  return new AppError(
    {
      code: outOfMemory ? "out_of_memory" : "model_damaged",
      message: `llama.cpp can't load ${basename(path)}: ${error.message}`,
    },
    { cause: error },
  );
}

function makeContext(model: NativeModel, settings: Parameters<typeof NativeContext.make>[1]): NativeContext {
  try {
    return NativeContext.make(model, settings);
  } catch (thrown) {
    if (!(thrown instanceof NativeError)) throw thrown;
    const message = `llama.cpp can't make a context of ${settings.contextLength} tokens: ${thrown.message}`;
    throw new AppError({ code: "out_of_memory", message, hint: "Use a smaller --ctx." }, { cause: thrown });
  }
}

/** Resident anonymous memory of this process in bytes; null where the system does not tell. */
function readRssAnon(): number | null {
  if (process.platform !== "linux") return null;
  const match = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"));
  return match?.[1] === undefined ? null : Number(match[1]) * 1024;
}
