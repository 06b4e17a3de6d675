// A start whose files may be replaced or removed meanwhile: llama.cpp opens them more than once, so an engine could have the
// header of one file and the weights of another. Such an engine is ended, and started once more. Chooses no files.

import { statSync } from "node:fs";
import type { Logger } from "../../lib/log.ts";
import { AppError } from "../../protocol/errors.ts";

export interface SteadyStart<T> {
  modelId: string;
  paths: readonly string[];
  start(): Promise<T>;
  log: Logger;
  /** What tells a file from another one in its place; null: it is not there. Tests have their own. */
  readStamp?: (path: string) => string | null;
}

/** A copy into the place of a model goes on for minutes, and each write is another file: who asks is told to come back. */
const STARTS_MAX = 3;

/** Throws as `start` does; `model_not_found` when a file is gone, `model_loading` when they go on changing. */
export async function startOnSteadyFiles<T extends { stop(): Promise<void> }>(options: SteadyStart<T>): Promise<T> {
  const { modelId, paths, start, log, readStamp = readStampOf } = options;
  for (let at = 0; at < STARTS_MAX; at++) {
    const before = paths.map(readStamp);
    const missing = paths[before.indexOf(null)];
    if (missing !== undefined) throw explainGone(modelId, missing);
    const isChanged = (): boolean => paths.some((path, index) => readStamp(path) !== before[index]);
    try {
      const engine = await start();
      // One that was removed meanwhile is open still, and whole: it is like one that is removed afterwards.
      if (paths.every((path, index) => [before[index], null].includes(readStamp(path)))) return engine;
      await engine.stop();
    } catch (thrown) {
      if (!isChanged()) throw thrown;
    }
    log.warn("a model's file was changed while it was loaded, so it is loaded once more", { model: modelId });
  }
  throw new AppError({
    code: "model_loading",
    message: `The file of ${modelId} is being changed: it was another one after each of ${STARTS_MAX} loads.`,
    hint: "Try again when it is complete.",
  });
}

function explainGone(modelId: string, path: string): AppError {
  const message = `${modelId} can't be loaded: its file ${path} is not there any more.`;
  const hint = "Put it back, or choose another model: GET /v1/models lists them.";
  return new AppError({ code: "model_not_found", message, hint, param: "model" });
}

function readStampOf(path: string): string | null {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? null : `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}`;
}
