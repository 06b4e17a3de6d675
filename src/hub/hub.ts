// Downloads models into the models folder: plan, room on the disk, files, checksums, and at the end one rename of a
// hidden folder, so that a model is listed when all of it is there and checked, and never before.

import { existsSync } from "node:fs";
import { rename, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { detectFormat } from "../formats/detect.ts";
import type { Detection } from "../formats/detection.ts";
import { formatBytes } from "../lib/byte-count.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { AppError } from "../protocol/errors.ts";
import { hashFile } from "./checksum.ts";
import { DISK_RESERVE_BYTES, nearestFolder, readFreeBytes } from "./disk-space.ts";
import { downloadFile, SourceChangedError } from "./download-file.ts";
import { HUB_LIMITS, type HubLimits } from "./limits.ts";
import { type Look, type LookOptions, lookInto } from "./look.ts";
import { type PartialOptions, removeNotes, removePartial } from "./partial-file.ts";
import { type PlannedFile, type PullPlan, planPull } from "./plan.ts";
import { lockPull } from "./pull-lock.ts";
import type { PlanHeaders, ReadHeaders } from "./read-remotely.ts";
import { isComplete, writeRecord } from "./records.ts";
import { type PullReference, parseReference } from "./reference.ts";
import { type Fetch, Requester } from "./requester.ts";
import { type SearchHit, type SearchQuery, searchHub } from "./search.ts";
import type { HubSettings } from "./settings.ts";
import { makeFolder, publish, removeEmpty } from "./staging.ts";
import { WEIGHTS_TAG } from "./weights-set.ts";

export type PullEvent =
  /** `passedOver`: larger ones of the repository that fit by their size and not by what their headers say. */
  | { type: "planned"; name: string; totalBytes: number | null; passedOver?: readonly string[] }
  | { type: "progress"; file: string; sha256: string | null; doneBytes: number; totalBytes: number }
  | { type: "waiting"; waitMs: number; why: string }
  | { type: "restarting"; why: string }
  | { type: "verifying"; file: string; sha256: string | null }
  | { type: "done"; name: string; folder: string; wasThere: boolean };

export interface HubOptions {
  settings: HubSettings;
  /** The models folder. */
  root: string;
  /** The largest file that fits into memory, as the planner says; null: not known. */
  largestModelBytes: () => number | null | Promise<number | null>;
  /** Confirms by headers what was chosen by size; absent: the size alone decides. */
  planHeaders?: PlanHeaders;
  limits?: Partial<HubLimits>;
  clock?: Clock;
  fetch?: Fetch;
  /** For tests: what is free in a folder, and disks that are full. */
  freeDiskBytes?: (folder: string) => Promise<number | null>;
  openFile?: PartialOptions["openFile"];
}

export interface PullOptions {
  /** Takes weights that must be converted, where there is no GGUF file. */
  takesWeights?: boolean;
  /** Takes what goes with the model too: a projector, a draft model, adapters. */
  takesCompanions?: boolean;
  signal: AbortSignal;
  onEvent: (event: PullEvent) => void;
}

export interface Pulled {
  name: string;
  folder: string;
  /** The folder of weights that must be converted; null: it is a GGUF file. */
  weightsFolder: string | null;
}

/** What finds and downloads models: the API knows no more of it. */
export interface ModelSource {
  /** `owner/repo[:tag]` or an address. Throws AppError. */
  pull(text: string, pull: PullOptions): Promise<Pulled>;
  /** Throws AppError. */
  search(query: SearchQuery): Promise<SearchHit[]>;
  /** Reads headers of `owner/repo[:tag]` without downloading it. Throws AppError. */
  look<T extends Detection>(text: string, read: ReadHeaders<T>, signal: AbortSignal): Promise<Look<T>>;
}

/** What a person can see. */
const PROGRESS_INTERVAL_MS = 100;
export class Hub implements ModelSource {
  readonly #options: HubOptions;

  constructor(options: HubOptions) {
    this.#options = options;
  }

  async pull(text: string, pull: PullOptions): Promise<Pulled> {
    const reference = parseReference(text, this.#options.settings.endpoint);
    const requester = this.#createRequester(pull.onEvent);
    for (let restart = 0; ; restart++) {
      try {
        return await this.#pullOnce(reference, requester, pull);
      } catch (thrown) {
        if (!(thrown instanceof SourceChangedError)) throw thrown;
        if (restart >= requester.limits.restartsMax) {
          throw new AppError({ code: "download_failed", message: `${thrown.message}, again and again` });
        }
        pull.onEvent({ type: "restarting", why: thrown.message });
      }
    }
  }

  async search(query: SearchQuery): Promise<SearchHit[]> {
    return await searchHub(
      this.#createRequester(() => {}),
      query,
      await this.#options.largestModelBytes(),
    );
  }

  async look<T extends Detection>(text: string, read: ReadHeaders<T>, signal: AbortSignal): Promise<Look<T>> {
    const reference = parseReference(text, this.#options.settings.endpoint);
    const options = await this.#lookOptions(this.#createRequester(() => {}));
    return await lookInto(reference, { ...options, signal }, read);
  }

  /** Throws when nobody may be asked. */
  #createRequester(onEvent: PullOptions["onEvent"]): Requester {
    const { settings, limits, clock = systemClock, fetch } = this.#options;
    if (settings.offline) {
      const message = "the Hub is not asked while HF_HUB_OFFLINE is set";
      throw new AppError({ code: "invalid_request", message, hint: "Unset the variable." });
    }
    return new Requester({
      settings,
      limits: { ...HUB_LIMITS, ...limits },
      clock,
      onWait: (waitMs, why) => onEvent({ type: "waiting", waitMs, why }),
      ...(fetch === undefined ? {} : { fetch }),
    });
  }

  async #pullOnce(reference: PullReference, requester: Requester, pull: PullOptions): Promise<Pulled> {
    const { root, largestModelBytes, planHeaders = null } = this.#options;
    const { signal, onEvent, takesWeights = false, takesCompanions = false } = pull;
    const largestBytes = await largestModelBytes();
    const options = { requester, root, largestBytes, planHeaders, takesWeights, takesCompanions, signal };
    const plans = await planPull(reference, options);
    for (const plan of plans) {
      const { name, folder, files, weightsFolder, passedOver = [] } = plan;
      const wasThere = await isComplete(folder, plan);
      if (!wasThere) {
        if (weightsFolder !== null) await this.#checkWeights(reference, requester, signal);
        const known = files.every(({ sizeBytes }) => sizeBytes !== null);
        const totalBytes = known ? files.reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0) : null;
        onEvent({ type: "planned", name, totalBytes, ...(passedOver.length === 0 ? {} : { passedOver }) });
        await this.#fetchAll(plan, requester, pull);
      }
      onEvent({ type: "done", name, folder: weightsFolder ?? folder, wasThere });
    }
    const { name, folder, weightsFolder } = plans[0];
    return { name, folder: weightsFolder ?? folder, weightsFolder };
  }

  /** Gigabytes that nothing here can use are not fetched, unless they were asked for by their tag. */
  async #checkWeights(reference: PullReference, requester: Requester, signal: AbortSignal): Promise<void> {
    if (reference.kind === "url" || reference.tag !== null) return;
    const { found } = await lookInto(reference, { ...(await this.#lookOptions(requester)), signal }, (source, path) =>
      detectFormat(path, { source }),
    );
    if (found.verdict.startsWith("convertible")) return;
    throw new AppError({
      code: "format_unsupported",
      message: `${reference.repo} is not downloaded: ${found.guidance.reason}`,
      hint: `ml-offload pull ${reference.repo}:${WEIGHTS_TAG} fetches it all the same; ml-offload search finds GGUF files.`,
      param: "model",
    });
  }

  async #lookOptions(requester: Requester): Promise<Omit<LookOptions, "signal">> {
    const { largestModelBytes, freeDiskBytes = readFreeBytes, root } = this.#options;
    return {
      requester,
      largestBytes: await largestModelBytes(),
      freeDiskBytes: async () => await freeDiskBytes(nearestFolder(root)),
      diskReserveBytes: DISK_RESERVE_BYTES,
      planHeaders: this.#options.planHeaders ?? null,
    };
  }

  async #fetchAll(plan: PullPlan, requester: Requester, pull: PullOptions): Promise<void> {
    const { folder, name } = plan;
    const hidden = (suffix: string): string => join(dirname(folder), `.${basename(folder)}.${suffix}`);
    const staging = hidden("pull");
    if (plan.repo === null && existsSync(folder)) {
      const message = `the models folder has another ${basename(folder)} already`;
      throw new AppError({ code: "invalid_request", message, hint: "Move it away, or fetch the file by other means." });
    }
    await makeFolder(staging);
    const unlock = lockPull(hidden("pull.lock"), name);
    try {
      for (const file of plan.files) await this.#fetchOne(plan, file, staging, requester, pull);
      await publish(staging, plan, hidden("replaced"));
    } catch (thrown) {
      await removeEmpty(staging);
      throw thrown;
    } finally {
      unlock();
    }
  }

  async #fetchOne(
    plan: PullPlan,
    file: PlannedFile,
    staging: string,
    requester: Requester,
    pull: PullOptions,
  ): Promise<void> {
    if (await isComplete(staging, { ...plan, files: [file] })) return;
    const { fileName, sha256 } = file;
    const { signal, onEvent } = pull;
    const path = join(staging, `${fileName}.part`);
    await makeFolder(dirname(path));
    const { openFile } = this.#options;
    const { sizeBytes, commit } = await downloadFile(file, {
      requester,
      path,
      signal,
      onProgress: thinOut(requester.clock, (doneBytes, totalBytes) =>
        onEvent({ type: "progress", file: fileName, sha256, doneBytes, totalBytes }),
      ),
      checkSpace: (missingBytes) => this.#checkSpace(staging, missingBytes, plan, file),
      ...(openFile === undefined ? {} : { openFile }),
    });
    onEvent({ type: "verifying", file: fileName, sha256 });
    await verifyFile(path, file, sizeBytes, signal);
    await writeRecord(staging, file, plan, { sizeBytes, commit });
    await rename(path, join(staging, fileName));
    await removeNotes(path);
  }

  /** For this file and those that come after it. */
  async #checkSpace(folder: string, missingBytes: number, { files }: PullPlan, file: PlannedFile): Promise<void> {
    const later = files.slice(files.indexOf(file) + 1).reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0);
    const neededBytes = missingBytes + later;
    const freeBytes = await (this.#options.freeDiskBytes ?? readFreeBytes)(folder);
    if (missingBytes === 0 || freeBytes === null || neededBytes + DISK_RESERVE_BYTES <= freeBytes) return;
    const room = `${formatBytes(neededBytes)} are missing, and ${formatBytes(freeBytes)} are free`;
    throw new AppError({
      code: "storage_unavailable",
      message: `there is no room for it on the disk: ${room}`,
      hint: `Free space, or set XDG_DATA_HOME to a larger disk; ${formatBytes(DISK_RESERVE_BYTES)} stay free.`,
    });
  }
}

/** Some thousand writes a second are told some times; the first and the last one always. */
function thinOut(clock: Clock, tell: (doneBytes: number, totalBytes: number) => void): typeof tell {
  let toldAtMs = Number.NEGATIVE_INFINITY;
  return (doneBytes, totalBytes) => {
    const nowMs = clock.monotonicMs();
    if (doneBytes < totalBytes && nowMs - toldAtMs < PROGRESS_INTERVAL_MS) return;
    toldAtMs = nowMs;
    tell(doneBytes, totalBytes);
  };
}

/** Wrong bytes are removed: going on from them would never end well. */
async function verifyFile(path: string, file: PlannedFile, sizeBytes: number, signal: AbortSignal): Promise<void> {
  const { size } = await stat(path);
  const found = file.sha256 === null || size !== sizeBytes ? null : await hashFile(path, signal);
  if (size === sizeBytes && found === file.sha256) return;
  await removePartial(path);
  const what =
    size === sizeBytes ? `SHA-256 ${found} in place of ${file.sha256}` : `${size} bytes in place of ${sizeBytes}`;
  const message = `${file.asked.what} arrived with ${what}, and was removed`;
  throw new AppError({ code: "download_failed", message, hint: "Try again; a proxy on the way may change files." });
}
