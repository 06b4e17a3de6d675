// The file that an engine loads for a folder of weights: the one that was made of it before, else one that is made now. It
// lies in the cache, where it can go at any time and be made anew.

import type { Logger } from "../../lib/log.ts";
import type { ConvertedCache } from "../../models/converted-cache.ts";
import type { ModelEntry } from "../../models/entry.ts";
import { AppError, type ErrorBody, toAppError } from "../../protocol/errors.ts";
import { abortable } from "../residency/place.ts";
import { removeLeftovers } from "./conversion-child.ts";
import type { ConversionJob, Conversions } from "./conversions.ts";

export interface ConvertOnLoadOptions {
  cache: ConvertedCache;
  conversions: Conversions;
  /** `--convert-type`; null: whichever fits into memory. */
  outType: string | null;
  /** For a model with so many parameters; null: not known. */
  chooseOutType: (parameterCount: number | null) => string | Promise<string>;
  /** A file was made: listings show it. */
  onConverted: () => void;
  log: Logger;
}

/** Sources that were refused are few; whoever has more of them waits for the refusal again. */
const REFUSED_MAX = 256;
/** What stays as it is until a file of the source changes. */
const FINAL: readonly ErrorBody["code"][] = ["format_unsupported", "model_damaged"];

export class ConvertOnLoad {
  readonly #options: ConvertOnLoadOptions;
  readonly #refused = new Map<string, ErrorBody>();
  /** Files that engines have open, each as often as it is open. */
  readonly #held: string[] = [];

  constructor(options: ConvertOnLoadOptions) {
    this.#options = options;
  }

  /** The file to load. Throws what the conversion failed with; the signal ends the wait alone. */
  async prepare(
    entry: Pick<ModelEntry, "id" | "path" | "parameterCount">,
    signal: AbortSignal,
    onChange: (job: ConversionJob) => void = () => {},
  ): Promise<string> {
    const { cache, onConverted, outType } = this.#options;
    const known = cache.find(entry.path, outType);
    const path = known ?? (await abortable(this.#convert(entry, onChange), signal));
    cache.noteUse(path);
    if (known === null) onConverted();
    return path;
  }

  /** The file stays in the cache until then. */
  hold(path: string, until: Promise<unknown>): void {
    this.#held.push(path);
    void until.then(() => this.#held.splice(this.#held.indexOf(path), 1));
  }

  /** Removes what nobody needs any more, and what servers that were killed have left. */
  async sweep(): Promise<void> {
    const { cache, log } = this.#options;
    try {
      for (const { folder, names } of cache.listFolders()) await removeLeftovers(folder, names);
      cache.sweep(new Set(this.#held));
    } catch (thrown) {
      log.warn("the cache of converted models can't be cleaned up", { error: String(thrown) });
    }
  }

  async #convert(
    { id, path: source, parameterCount }: Parameters<ConvertOnLoad["prepare"]>[0],
    onChange: (job: ConversionJob) => void,
  ): Promise<string> {
    const { cache, conversions, outType, chooseOutType } = this.#options;
    const key = `${cache.keyOf(source)} ${outType}`;
    const refused = this.#refused.get(key);
    if (refused !== undefined) throw new AppError(refused);
    const folder = openFolder(cache, source);
    try {
      const chosen = outType ?? chooseOutType(parameterCount);
      const type = typeof chosen === "string" ? chosen : await chosen;
      const job = conversions.start({ label: id, source, outType: type, folder, name: null });
      conversions.follow(job.id, onChange);
      const { target } = await conversions.outcome(job.id);
      await this.sweep();
      return target;
    } catch (thrown) {
      // Another server may have made it meanwhile.
      const made = cache.find(source, outType);
      if (made !== null) return made;
      const error = toAppError(thrown);
      if (FINAL.includes(error.code) && this.#refused.size < REFUSED_MAX) this.#refused.set(key, error.toBody());
      throw error;
    }
  }
}

function openFolder(cache: ConvertedCache, source: string): string {
  try {
    const folder = cache.open(source);
    if (folder !== null) return folder;
  } catch (thrown) {
    const message = `the cache of converted models can't be written: ${(thrown as Error).message}`;
    const hint = "Free disk space, or set XDG_CACHE_HOME to a folder that can be written.";
    throw new AppError({ code: "storage_unavailable", message, hint }, { cause: thrown });
  }
  throw new AppError({
    code: "model_not_found",
    message: `${source} can't be read any more`,
    hint: "Check the folder.",
  });
}
