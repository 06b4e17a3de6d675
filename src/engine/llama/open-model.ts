// Loads a model and all that an engine makes over it: its context, and what guesses for it. Or lays it out: the same without
// weights and without memory, to see what it would take.

import { availableParallelism } from "node:os";
import { basename } from "node:path";
import { NativeContext } from "../../ffi/context.ts";
import type { NativeLibrary } from "../../ffi/library.ts";
import { type ModelFacts, type ModelLoadSettings, NativeModel } from "../../ffi/model.ts";
import { NativeError } from "../../ffi/native-error.ts";
import { AppError } from "../../protocol/errors.ts";
import type { EngineSettings } from "../../protocol/messages.ts";
import type { MemoryKind } from "../../protocol/model-info.ts";
import type { Drafter } from "../guess/drafter.ts";
import { type ContextPlan, planContexts, planDraftContext } from "./context-plan.ts";
import { checkMemory, LlamaDrafter } from "./llama-drafter.ts";
import { chooseHead, type HeadChoice } from "./llama-head.ts";
import type { CountedContext } from "./memory-sum.ts";

/** Between two looks at a running load; a job that ends wakes the wait early. */
const PROGRESS_MS = 100;

export interface LoadHooks {
  onProgress(fraction: number): void;
  /** Waits for a job's end or for the time to pass. */
  wait(timeoutMs: number): void;
}

export interface OpenedModel {
  model: NativeModel;
  facts: ModelFacts;
  plan: ContextPlan;
  context: NativeContext;
  drafter: Drafter | null;
  draft: LlamaDrafter | null;
  head: HeadChoice;
  /** What all contexts take. */
  contexts: CountedContext[];
}

interface Opening {
  hooks: LoadHooks;
  layOut: boolean;
}

/** Throws AppError: `model_damaged` or `out_of_memory`, with llama.cpp's own lines. */
export function openModel(library: NativeLibrary, settings: EngineSettings, opening: Opening): OpenedModel {
  const wantsHead = (settings.head ?? null) !== null && settings.draft === null;
  const { chatTemplate } = settings;
  const template = chatTemplate === undefined ? {} : { chatTemplate };
  const places = { ...describePlaces(settings), ...template, head: wantsHead, layOut: opening.layOut };
  const model = loadModel(library, settings.modelPath, places, opening.hooks);
  let context: NativeContext | null = null;
  let drafter: Drafter | null = null;
  try {
    const facts = model.facts();
    const cores = availableParallelism();
    const plan = planContexts(settings, facts, cores);
    loadAdapters(model, settings.adapters, plan.canGenerate);
    context = makeContext(model, plan.main);
    const target = { model, memory: context.facts().memory, plan };
    const draft = plan.canGenerate ? loadDrafter(library, settings, target, opening) : null;
    drafter = draft;
    const headPlan = plan.canGenerate ? planDraftContext(settings, plan, facts, cores) : null;
    const head = chooseHead(settings, { model, facts, context, plan: headPlan });
    drafter ??= head.head;
    const contexts = [
      { memory: context.memory(), countsWeights: true },
      ...(draft === null ? [] : [{ memory: draft.memory, countsWeights: true }]),
      ...(head.head === null ? [] : [{ memory: head.head.memory, countsWeights: false }]),
    ];
    return { model, facts, plan, context, drafter, draft, head, contexts };
  } catch (thrown) {
    drafter?.[Symbol.dispose]();
    context?.[Symbol.dispose]();
    model[Symbol.dispose]();
    throw thrown;
  }
}

export function closeModel({ model, context, drafter }: OpenedModel): void {
  drafter?.[Symbol.dispose]();
  context[Symbol.dispose]();
  model[Symbol.dispose]();
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
  { hooks, layOut }: Opening,
): LlamaDrafter | null {
  const { draft } = settings;
  if (draft === null) return null;
  checkMemory(target.memory, "This model");
  const model = loadModel(library, draft.modelPath, { ...describePlaces(settings), layOut }, hooks);
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

/** The shim's words. */
const GIVEN_TEMPLATE = "the chat template that was given";

function loadError(path: string, error: Error): AppError {
  if (error.message.startsWith(GIVEN_TEMPLATE)) {
    const message = `${basename(path)} can't be loaded: ${error.message}`;
    const hint = "Correct the chat template in the model file, or leave it out: then the model's own is used.";
    return new AppError({ code: "model_damaged", message, hint }, { cause: error });
  }
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
