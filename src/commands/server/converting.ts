// Puts the conversions of a server together: the queue, the cache of what was made to be served, and what the API starts.

import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { PROJECT_VERSION } from "../../api/version.ts";
import type { ServeConfig } from "../../config.ts";
import { chooseOutType } from "../../convert/choose-out-type.ts";
import { type OutType, parseOutType } from "../../convert/out-types.ts";
import { CONVERTER_VERSION } from "../../convert/version.ts";
import { systemClock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import type { Folders } from "../../lib/paths.ts";
import { ConvertedCache } from "../../models/converted-cache.ts";
import { assertServable } from "../../models/entry.ts";
import type { ModelRegistry } from "../../models/registry.ts";
import { AppError } from "../../protocol/errors.ts";
import { removeLeftovers, runConversion } from "../../router/conversions/conversion-child.ts";
import { type ConversionJob, type ConversionService, Conversions } from "../../router/conversions/conversions.ts";
import { ConvertOnLoad } from "../../router/conversions/convert-on-load.ts";

export interface ConvertingOptions {
  config: Pick<ServeConfig, "convertType" | "convertCacheBytes">;
  folders: Folders;
  log: Logger;
  /** The largest file that fits into memory; null: not known. */
  fileLimit: () => Promise<number | null>;
  onChange: (job: ConversionJob) => void;
}

export interface Converting {
  /** The GGUF file that was made of a folder as it is now; null: none. */
  findConverted: (folder: string) => string | null;
  service: ConversionService;
  createLoader: (registry: ModelRegistry) => ConvertOnLoad;
  stop(): Promise<void>;
}

/** Throws `invalid_request` when `--convert-type` names no type. */
export function openConverting({ config, folders, log, fileLimit, onChange }: ConvertingOptions): Converting {
  const { cache, outType } = openConvertedCache(config, folders);
  const ownFolder = join(folders.data, "models");
  let registry: ModelRegistry | null = null;
  let loader: ConvertOnLoad | null = null;
  const conversions = new Conversions({
    run: async (task) => {
      const result = await runConversion(task);
      // It was given its name when it was whole.
      registry?.rescan([result.target]);
      return result;
    },
    onChange,
    log,
    clock: systemClock,
  });
  return {
    findConverted: (folder) => cache.find(folder, outType),
    service: createService(conversions, ownFolder, async (folder, signal, onChange) => {
      const entry = registry?.list().find(({ path }) => path === folder);
      if (entry === undefined || loader === null) throw notListed(folder);
      assertServable(entry);
      await loader.prepare(entry, signal, onChange);
    }),
    createLoader(loaded) {
      registry = loaded;
      void cleanUp(ownFolder, log);
      loader = new ConvertOnLoad({
        cache,
        conversions,
        outType,
        chooseOutType: async (parameterCount) => chooseOutType(parameterCount, await fileLimit()),
        onConverted: () => loaded.rescan(),
        log,
      });
      void loader.sweep();
      return loader;
    },
    stop: () => conversions.stop(),
  };
}

/** `outType` null: whichever fits. Throws `invalid_request` when `--convert-type` names no type. */
export function openConvertedCache(
  config: ConvertingOptions["config"],
  folders: Folders,
): { cache: ConvertedCache; outType: OutType | null } {
  const wanted = parseOutType(config.convertType, "--convert-type");
  const cache = new ConvertedCache({
    folder: join(folders.cache, "converted"),
    version: `${PROJECT_VERSION} ${CONVERTER_VERSION}`,
    bytesMax: config.convertCacheBytes,
  });
  return { cache, outType: wanted === "auto" ? null : wanted };
}

/** What conversions of servers that were killed have left. */
async function cleanUp(folder: string, log: Logger): Promise<void> {
  try {
    if (existsSync(folder)) await removeLeftovers(folder, readdirSync(folder));
  } catch (thrown) {
    log.warn("the models folder can't be cleaned up", { error: String(thrown) });
  }
}

/** What the API starts goes into the server's own models folder. */
function createService(
  conversions: Conversions,
  folder: string,
  prepare: ConversionService["prepare"],
): ConversionService {
  return {
    prepare,
    start(request) {
      const outType = parseOutType(request.outType, "`outtype`");
      mkdirSync(folder, { recursive: true });
      return conversions.start({ ...request, outType, folder });
    },
    outcome: async (id) => await conversions.outcome(id),
    list: () => conversions.list(),
    get: (id) => conversions.get(id),
    cancel: (id) => conversions.cancel(id),
  };
}

function notListed(folder: string): AppError {
  return new AppError({
    code: "model_not_found",
    message: `${basename(folder)} is not listed as a model that could be converted`,
    hint: "GET /api/models/list tells what is there.",
  });
}
