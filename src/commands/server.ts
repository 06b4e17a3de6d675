// Puts the server together: files, plug-ins, registry, router, HTTP. `serve` and `run` both start it from here.

import { basename, join } from "node:path";
import pin from "../../vendor/llama.cpp.json" with { type: "json" };
import { createApp } from "../api/app.ts";
import { listen } from "../api/listen.ts";
import { DEFAULT_API_OPTIONS, DEFAULT_CORS_ORIGINS } from "../api/options.ts";
import { PROJECT_VERSION } from "../api/version.ts";
import { describeGuessing, guessingFor } from "../config/guessing.ts";
import type { ServeConfig } from "../config.ts";
import { endWithParent } from "../engine/parent.ts";
import { readAvailableMemory } from "../hardware/memory.ts";
import { Hub, type ModelSource } from "../hub/hub.ts";
import { readHubSettings } from "../hub/settings.ts";
import { systemClock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import type { Environment, Folders } from "../lib/paths.ts";
import { type AdapterFile, readAdapters } from "../models/adapter.ts";
import { readAliases } from "../models/alias.ts";
import { canPredict } from "../models/architecture.ts";
import { checkDraftModel } from "../models/draft.ts";
import { FolderWatch } from "../models/folder-watch.ts";
import { listPlaces, type ModelPlace } from "../models/places/places.ts";
import { ModelRegistry } from "../models/registry.ts";
import type { EngineSettings } from "../protocol/messages.ts";
import { EngineProcess } from "../router/engine-process.ts";
import { locateNativeFiles, type NativeFiles } from "../router/native-files.ts";
import { choosePlugins, type PluginChoice, pluginEffects } from "../router/plugins.ts";
import { Router } from "../router/router.ts";
import { AliasFile } from "../state/alias-file.ts";
import { State } from "../state/state.ts";

export interface StartOptions {
  config: ServeConfig;
  folders: Folders;
  env: Environment;
  log: Logger;
  /** Name of the model that the adapters are for; absent: the default model. */
  adapted?: string;
}

export interface StartedServer {
  url: string;
  /** Graceful: requests in progress are answered first. Engines end in either case. */
  stop(graceful: boolean): Promise<void>;
}

export interface PreparedServer {
  /** What is wrong with the models that were asked for by name. */
  warnings: readonly string[];
  /** Throws AppError when the address can't be had. */
  listen(): StartedServer;
}

/** Everything before the socket. Throws AppError when there is no library, no backend that runs here, no adapter, or no draft model. */
export async function prepareServer({ config, folders, env, log, adapted }: StartOptions): Promise<PreparedServer> {
  const adapters = readAdapters(config.lora);
  const { draft } = describeGuessing(config);
  if (draft !== null) checkDraftModel(draft.modelPath);
  const files = await locateNativeFiles(folders.cache, env.ML_OFFLOAD_NATIVE_DIR);
  if (config.exitWithParent) endWithParent(files.library);
  const choice = await choosePlugins(files, pluginEffects(files, folders.cache, log, systemClock));
  const watch = new FolderWatch();
  const registry = openRegistry({ config, folders, env, log }, files, watch);
  // The default model may be another one later, when files come and go: the adapters stay with the one of the start.
  const owner = adapted === undefined ? registry.defaultEntry() : registry.resolve(adapted);
  const loras = { modelPath: owner?.path ?? "", adapters };
  const router = buildRouter(config, files, choice, registry, loras, folders, log);
  const app = createApp({
    inference: router,
    hub: openHub(env, folders, registry),
    state: new State({ folder: folders.state, log, clock: systemClock }),
    log,
    options: {
      ...DEFAULT_API_OPTIONS,
      host: config.host,
      port: config.port,
      corsOrigins: [...DEFAULT_CORS_ORIGINS, ...config.corsOrigin],
      allowedHosts: config.allowedHost,
      bodyBytesMax: config.bodyLimitBytes,
      requestTimeoutMs: config.requestTimeoutSeconds * 1000,
    },
  });
  return {
    warnings: config.model.length === 0 ? [] : findUnservable(registry),
    listen() {
      const server = listen(app, { host: config.host, port: config.port });
      return {
        url: server.url,
        async stop(graceful) {
          await server.stop(graceful);
          await router.stop(graceful);
          watch.close();
        },
      };
    },
  };
}

function openRegistry(
  { config, folders, env, log }: StartOptions,
  files: NativeFiles,
  watch: FolderWatch,
): ModelRegistry {
  const ownFolder = join(folders.data, "models");
  // What was downloaded lies there, also when --models-dir names other folders.
  const own: ModelPlace[] = config.modelsDir.includes(ownFolder) ? [] : [{ kind: "own", folder: ownFolder }];
  return new ModelRegistry({
    models: config.model,
    modelsDirs: config.modelsDir,
    demoPath: files.demoModel,
    aliases: readAliases(config.alias),
    copies: new AliasFile(join(folders.state, "aliases.json"), log),
    ownFolder,
    places: config.discover ? [...own, ...listPlaces(env)] : [],
    watch,
    logger: log,
  });
}

/** What it downloads is listed when the request for it ends. */
function openHub(env: Environment, folders: Folders, registry: ModelRegistry): ModelSource {
  const root = join(folders.data, "models");
  // Its settings are read when they are needed: a mistake in them must not cost the start.
  const open = (): Hub => new Hub({ settings: readHubSettings(env), root, availableMemoryBytes: readAvailableMemory });
  return {
    search: async (query) => await open().search(query),
    async pull(text, options) {
      const pulled = await open().pull(text, options);
      registry.rescan();
      return pulled;
    },
  };
}

/** A misspelt path would else show at the first request only, and then to a client. */
function findUnservable(registry: ModelRegistry): string[] {
  const errors = registry.list().map(({ explicit, error }) => (explicit ? error : null));
  return errors.filter((error) => error !== null).map(({ message }) => message);
}

function buildRouter(
  config: ServeConfig,
  files: NativeFiles,
  { plugins, skipped }: PluginChoice,
  registry: ModelRegistry,
  adapted: { modelPath: string; adapters: AdapterFile[] },
  folders: Folders,
  log: Logger,
): Router {
  const settings = describeEngine(config, files, plugins, folders);
  const guessing = describeGuessing(config);
  return new Router({
    registry,
    log,
    clock: systemClock,
    sleepAfterMs: config.sleepAfterSeconds * 1000,
    adapters: { ...adapted, adapters: adapted.adapters.map(({ adapter }) => adapter) },
    facts: {
      version: PROJECT_VERSION,
      llamaCpp: { version: pin.version, commit: pin.commit },
      plugins: plugins.map((path) => basename(path)),
      skippedPlugins: skipped,
      contextLength: config.ctx,
      ...choosePooling(config),
    },
    effects: {
      startEngine: (entry, signal) =>
        EngineProcess.start({
          libraryPath: files.library,
          modelId: entry.id,
          signal,
          loadTimeoutMs: config.loadTimeoutSeconds * 1000,
          log,
          clock: systemClock,
          settings: {
            ...settings,
            modelPath: entry.path,
            ...guessingFor(guessing, {
              isDefault: registry.defaultEntry()?.id === entry.id,
              canPredict: canPredict(entry.architecture),
            }),
            adapters: entry.path === adapted.modelPath ? adapted.adapters.map(({ file }) => file) : [],
          },
        }),
    },
  });
}

/** What is the same for every engine of this server. */
function describeEngine(
  config: ServeConfig,
  files: NativeFiles,
  plugins: string[],
  folders: Folders,
): Omit<EngineSettings, "modelPath" | "adapters" | "draft" | "head"> {
  const buildKey = new Bun.CryptoHasher("sha256")
    .update(JSON.stringify([pin.commit, files.buildId, plugins.map((path) => basename(path))]))
    .digest("hex");
  return {
    plugins,
    contextLength: config.ctx,
    ...choosePooling(config),
    parallel: config.parallel,
    batchSize: config.batchSize,
    microBatchSize: config.ubatchSize,
    threads: config.threads,
    gpuLayers: config.gpuLayers,
    itlMsMax: config.itlMsMax,
    speculates: describeGuessing(config).speculates,
    shiftsContext: config.contextShift,
    retainedMax: config.retained,
    ...(config.checkpointBytes === 0 ? {} : { checkpointBytesMax: config.checkpointBytes }),
    kvStore: config.kvStore ? { folder: join(folders.state, "kv"), bytesMax: config.kvStoreBytes, buildKey } : null,
  };
}

/** Absent: the model's own. */
function choosePooling({ pooling }: ServeConfig): Pick<EngineSettings, "pooling"> {
  return pooling === "auto" ? {} : { pooling };
}
