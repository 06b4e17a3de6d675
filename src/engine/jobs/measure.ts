// What a load would take, by llama.cpp's own account: model and contexts are laid out as an engine makes them, without
// memory for them. For a one-shot child, whose own memory is then that of an engine without all that.

import { NativeContext } from "../../ffi/context.ts";
import type { NativeLibrary } from "../../ffi/library.ts";
import type { MeasuredNeed, MemoryNeed } from "../../protocol/memory-need.ts";
import type { EngineSettings } from "../../protocol/messages.ts";
import { readRssAnon, startPlugins } from "../llama/load.ts";
import { restOfLaidOut, sumNeed } from "../llama/memory-sum.ts";
import { closeModel, type LoadHooks, type OpenedModel, openModel } from "../llama/open-model.ts";

/** Throws AppError, as a load does. */
export function measureNeed(library: NativeLibrary, settings: EngineSettings, hooks: LoadHooks): MeasuredNeed {
  startPlugins(library, settings.plugins);
  return layOut(library, settings, hooks, readRssAnon);
}

/** `readRss`: of this process, after all is laid out; null where the system does not tell. */
export function layOut(
  library: NativeLibrary,
  settings: EngineSettings,
  hooks: LoadHooks,
  readRss: () => number | null,
): MeasuredNeed {
  const opened = openModel(library, settings, { hooks, layOut: true });
  try {
    const contexts = opened.contexts;
    const rest = restOfLaidOut(
      readRss() ?? 0,
      contexts.map(({ memory }) => memory),
    );
    return {
      need: sumNeed(contexts, rest),
      repackedBytes: contexts.reduce((sum, { memory, countsWeights }) => {
        return sum + (countsWeights ? memory.host.repackedBytes : 0);
      }, 0),
      embedding: opened.plan.canGenerate ? layOutEmbedding(opened) : null,
    };
  } finally {
    closeModel(opened);
  }
}

function layOutEmbedding({ model, plan }: OpenedModel): MemoryNeed {
  using context = NativeContext.make(model, plan.embedding);
  return sumNeed([{ memory: context.memory(), countsWeights: false }], 0);
}
