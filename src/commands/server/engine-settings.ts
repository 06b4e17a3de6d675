// What an engine is started with: the server's settings, changed by what the model's own file says, and the files that go
// with the model.

import { basename, join } from "node:path";
import pin from "../../../vendor/llama.cpp.json" with { type: "json" };
import { describeGuessing, guessingFor } from "../../config/guessing.ts";
import { applyModelSettings } from "../../config/model-settings.ts";
import type { ServeConfig } from "../../config.ts";
import type { Folders } from "../../lib/paths.ts";
import { type AdapterFile, readAdapters } from "../../models/adapter.ts";
import { canPredict } from "../../models/architecture.ts";
import { checkDraftModel } from "../../models/draft.ts";
import type { ModelEntry } from "../../models/entry.ts";
import type { EngineSettings } from "../../protocol/messages.ts";
import type { NativeFiles } from "../../router/backends/native-files.ts";

export interface EngineSources {
  config: ServeConfig;
  files: NativeFiles;
  /** Absolute paths, in load order. */
  plugins: readonly string[];
  folders: Folders;
  /** Those of `--lora`, and the model that they are for. */
  adapted: { modelPath: string; adapters: readonly AdapterFile[] };
}

export interface EngineStart {
  settings: EngineSettings;
  loadTimeoutMs: number;
}

/** Throws what is wrong with the files that the model's own file names. */
export function describeStart(sources: EngineSources, entry: ModelEntry, isDefault: boolean): EngineStart {
  const { engine } = entry.settings;
  const config = applyModelSettings(sources.config, engine);
  if (engine.draftModel !== undefined) checkDraftModel(engine.draftModel);
  const guessing = describeGuessing(config);
  const loras = sources.adapted.adapters.length > 0 && entry.path === sources.adapted.modelPath;
  return {
    loadTimeoutMs: config.loadTimeoutSeconds * 1000,
    settings: {
      ...describeEngine(config, sources),
      modelPath: entry.path,
      ...(engine.chatTemplate === undefined ? {} : { chatTemplate: engine.chatTemplate }),
      ...guessingFor(guessing, {
        // What a model's own file asks for is for this model.
        isDefault: isDefault || engine.draftModel !== undefined || engine.speculate !== undefined,
        canPredict: canPredict(entry.architecture),
      }),
      adapters: (loras ? sources.adapted.adapters : readAdapters(engine.lora ?? [])).map(({ file }) => file),
    },
  };
}

function describeEngine(
  config: ServeConfig,
  { files, plugins, folders }: EngineSources,
): Omit<EngineSettings, "modelPath" | "adapters" | "draft" | "head"> {
  const buildKey = new Bun.CryptoHasher("sha256")
    .update(JSON.stringify([pin.commit, files.buildId, plugins.map((path) => basename(path))]))
    .digest("hex");
  return {
    plugins: [...plugins],
    contextLength: config.ctx,
    ...choosePooling(config),
    parallel: config.parallel,
    batchSize: config.batchSize,
    microBatchSize: config.ubatchSize,
    threads: config.threads,
    gpuLayers: config.gpuLayers,
    deviceShares: config.deviceShares,
    hostExpertLayers: config.hostExpertLayers,
    kvType: config.kvType,
    itlMsMax: config.itlMsMax,
    speculates: describeGuessing(config).speculates,
    shiftsContext: config.contextShift,
    retainedMax: config.retained,
    ...(config.checkpointBytes === 0 ? {} : { checkpointBytesMax: config.checkpointBytes }),
    kvStore: config.kvStore ? { folder: join(folders.state, "kv"), bytesMax: config.kvStoreBytes, buildKey } : null,
  };
}

/** Absent: the model's own. */
export function choosePooling({ pooling }: Pick<ServeConfig, "pooling">): Pick<EngineSettings, "pooling"> {
  return pooling === "auto" ? {} : { pooling };
}
