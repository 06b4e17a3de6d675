// Puts the server together: files, plug-ins, registry, router, HTTP. `serve` and `run` both start it from here.

import { join } from "node:path";
import { createApp } from "../../api/app.ts";
import { listen } from "../../api/listen.ts";
import { encodeConversion } from "../../api/manage/encode-conversion.ts";
import { type ApiOptions, DEFAULT_API_OPTIONS, DEFAULT_CORS_ORIGINS } from "../../api/options.ts";
import { describeGuessing } from "../../config/guessing.ts";
import type { ConfigKey, ServeConfig } from "../../config.ts";
import { describeSize } from "../../hardware/machine-facts.ts";
import { Hub, type ModelSource } from "../../hub/hub.ts";
import { readHubSettings } from "../../hub/settings.ts";
import { systemClock } from "../../lib/clock.ts";
import { EventBus } from "../../lib/event-bus.ts";
import type { Logger } from "../../lib/log.ts";
import type { Environment, Folders } from "../../lib/paths.ts";
import { readAdapters } from "../../models/adapter.ts";
import { readAliases } from "../../models/alias.ts";
import { checkDraftModel } from "../../models/draft.ts";
import { FolderWatch } from "../../models/folder-watch.ts";
import { listPlaces, type ModelPlace } from "../../models/places/places.ts";
import { ModelRegistry } from "../../models/registry.ts";
import { Uploads } from "../../models/upload/uploads.ts";
import { toAppError } from "../../protocol/errors.ts";
import type { EventTopic } from "../../protocol/events.ts";
import type { MachineSource } from "../../protocol/machine.ts";
import type { NativeFiles } from "../../router/backends/native-files.ts";
import type { ConversionJob } from "../../router/conversions/conversions.ts";
import type { ConvertOnLoad } from "../../router/conversions/convert-on-load.ts";
import type { Planner } from "../../router/placement/planner.ts";
import type { Router } from "../../router/router.ts";
import { NameFile } from "../../state/name-file.ts";
import { State } from "../../state/state.ts";
import { announceDownloads, announceModels } from "./announcing.ts";
import { openConverting } from "./converting.ts";
import { openEngines } from "./engines.ts";
import { confirmFits } from "./header-subject.ts";
import { openHardware } from "./machine.ts";
import { openNative } from "./native.ts";
import { Preloading } from "./preloading.ts";

export interface StartOptions {
  config: ServeConfig;
  folders: Folders;
  env: Environment;
  log: Logger;
  /** Name of the model that the adapters are for; absent: the default model. */
  adapted?: string;
  /** Settings that somebody gave a value; absent: none. */
  said?: ReadonlySet<ConfigKey>;
  /** Hears of each conversion, for a terminal that shows it. */
  onConversion?: (job: ConversionJob) => void;
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
export async function prepareServer(options: StartOptions): Promise<PreparedServer> {
  const { config, folders, env, log, adapted } = options;
  const adapters = readAdapters(config.lora);
  const { draft } = describeGuessing(config);
  if (draft !== null) checkDraftModel(draft.modelPath);
  const native = await openNative(options);
  const watch = new FolderWatch();
  const events = new EventBus<EventTopic>(() => systemClock.wallMs());
  const converting = openConverting({
    ...options,
    fileLimit: () => planner.fileLimit(),
    onChange: (job) => announceConversion(events, job, options.onConversion),
  });
  const hardware = await openHardware(options, native, events);
  const { machine } = hardware.sources;
  const registry = openRegistry({ ...options, machine }, native.files, watch, converting.findConverted);
  const loader = converting.createLoader(registry);
  const feed = announceModels(registry, events);
  // The default model may be another one later, when files come and go: the adapters stay with the one of the start.
  const owner = adapted === undefined ? registry.defaultEntry() : registry.resolve(adapted);
  const loras = { modelPath: owner?.path ?? "", adapters };
  const preloading = new Preloading(config.preload, log);
  const troubles = [preloading.troubles];
  const { router, planner } = openEngines({ ...options, native, registry, loras, loader, hardware, troubles });
  watch.onChange = noticeChanges(feed, router);
  const app = createApp({
    inference: router,
    hub: announceDownloads(openHub(env, folders, registry, planner), events),
    planner,
    conversions: converting.service,
    events,
    ...hardware.sources,
    uploads: openUploads(options, registry),
    state: new State({ folder: folders.state, log, clock: systemClock }),
    log,
    options: describeApi(config),
  });
  return {
    warnings: config.model.length === 0 ? [] : findUnservable(registry),
    listen() {
      const server = listen(app, { host: config.host, port: config.port });
      void convertNamed(registry, loader, planner, log);
      void preloading.run(router, registry);
      return {
        url: server.url,
        async stop(graceful) {
          feed.stop();
          hardware.stop();
          // Listeners have no end of their own, and a conversion takes longer than anybody waits for a stop.
          events.close();
          await Promise.all([converting.stop(), server.stop(graceful)]);
          await router.stop(graceful);
          watch.close();
        },
      };
    },
  };
}

/** A copy gives a notice with every write, and a file that is replaced may be gone for a moment. */
const CHANGES_MS = 1_000;

/** In folders of models: engines of files that are gone, or others now, have to go. */
function noticeChanges(feed: { notice(): void }, router: Pick<Router, "noteFileChanges">): () => void {
  let isComing = false;
  return () => {
    feed.notice();
    if (isComing) return;
    isComing = true;
    systemClock.after(
      CHANGES_MS,
      () => {
        isComing = false;
        router.noteFileChanges();
      },
      true,
    );
  };
}

function announceConversion(
  events: EventBus<EventTopic>,
  job: ConversionJob,
  tell: StartOptions["onConversion"],
): void {
  const isProgress = job.state === "running" && job.totalBytes !== null;
  events.publish("convert", encodeConversion(job), isProgress ? job.id : null);
  tell?.(job);
}

function openUploads({ config, folders, env }: StartOptions, registry: ModelRegistry): Uploads {
  return new Uploads({
    folders: { models: join(folders.data, "models"), modelFiles: config.modelConfigDir },
    env,
    clock: systemClock,
    onPlaced: (path) => registry.rescan([path]),
  });
}

function describeApi(config: ServeConfig): ApiOptions {
  return {
    ...DEFAULT_API_OPTIONS,
    host: config.host,
    port: config.port,
    corsOrigins: [...DEFAULT_CORS_ORIGINS, ...config.corsOrigin],
    allowedHosts: config.allowedHost,
    bodyBytesMax: config.bodyLimitBytes,
    requestTimeoutMs: config.requestTimeoutSeconds * 1000,
  };
}

/** Of folders that were named at the start there is no need to wait for the first request. What could not be loaded then is not made. */
async function convertNamed(
  registry: ModelRegistry,
  loader: ConvertOnLoad,
  planner: Planner,
  log: Logger,
): Promise<void> {
  const named = registry.list().filter(({ explicit, conversion }) => explicit && conversion?.file === null);
  for (const entry of named) {
    try {
      await planner.planLoad(entry);
      await loader.prepare(entry, new AbortController().signal);
    } catch (thrown) {
      // The first request will have it too.
      log.warn(`${entry.id} is not converted`, { error: toAppError(thrown).message });
    }
  }
}

/** `machine`: one that somebody has looked at. Model files are judged by its newest snapshot. */
export function openRegistry(
  { config, folders, env, log, machine }: StartOptions & { machine: Pick<MachineSource, "latest"> },
  files: Pick<NativeFiles, "demoModel">,
  watch: FolderWatch | undefined,
  findConverted: (folder: string) => string | null,
): ModelRegistry {
  const ownFolder = join(folders.data, "models");
  // What was downloaded or sent lies there, also when --models-dir names other folders.
  const own: ModelPlace[] = config.modelsDir.includes(ownFolder) ? [] : [{ kind: "own", folder: ownFolder }];
  return new ModelRegistry({
    models: config.model,
    modelsDirs: config.modelsDir,
    demoPath: files.demoModel,
    aliases: readAliases(config.alias),
    copies: new NameFile(join(folders.state, "aliases.json"), "copied names", log),
    pins: new NameFile(join(folders.state, "pins.json"), "pinned models", log),
    ownFolder,
    ...(config.modelConfigDir === null
      ? {}
      : { modelFiles: { folder: config.modelConfigDir, env, machine: () => describeSize(machine.latest()) } }),
    places: [...own, ...(config.discover ? listPlaces(env) : [])],
    ...(watch === undefined ? {} : { watch }),
    findConverted,
    logger: log,
  });
}

/** What it downloads is listed when the request for it ends. */
function openHub(env: Environment, folders: Folders, registry: ModelRegistry, planner: Planner): ModelSource {
  const root = join(folders.data, "models");
  // Its settings are read when they are needed: a mistake in them must not cost the start.
  const largestModelBytes = () => planner.fileLimit();
  const planHeaders = confirmFits((model) => planner.planHeaders(model, { alone: true }));
  const open = (): Hub => new Hub({ settings: readHubSettings(env), root, largestModelBytes, planHeaders });
  return {
    search: async (query) => await open().search(query),
    look: async (text, read, signal) => await open().look(text, read, signal),
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
