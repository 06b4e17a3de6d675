// A load that memory does not suffice for: refused with the smallest change that may help, or tried again with less, where the
// settings allow that. What is less is said in the log and on the model's card. It starts nothing itself.

import type { Logger } from "../../lib/log.ts";
import { AppError } from "../../protocol/errors.ts";
import type { EngineSettings } from "../../protocol/messages.ts";
import { type EngineProcess, StartFailure } from "../engines/engine-process.ts";

/** Other settings of the same load, and what is less in them, such as "the context has 4096 tokens". */
export interface LoadAlternative {
  settings: EngineSettings;
  words: string;
}

export interface StepDownOptions {
  modelId: string;
  settings: EngineSettings;
  onOom: "refuse" | "step-down";
  /** The mildest first, each with less than the one before. None changes what was set explicitly. */
  alternatives: readonly LoadAlternative[];
  /** `steppedDown`: for the engine's info. Rejects with StartFailure. */
  start(settings: EngineSettings, steppedDown: readonly string[]): Promise<EngineProcess>;
  log: Logger;
}

/** Rejects as `start` does. */
export async function startSteppingDown(options: StepDownOptions): Promise<EngineProcess> {
  const { modelId, onOom, alternatives, start, log } = options;
  let failure: StartFailure;
  try {
    return await start(options.settings, []);
  } catch (thrown) {
    failure = asShortage(thrown);
  }
  if (onOom === "refuse") throw advise(failure, alternatives);
  for (const { settings, words } of alternatives) {
    log.warn("memory does not suffice, the load steps down", { model: modelId, reason: failure.message, to: words });
    try {
      return await start(settings, [`${words}, because memory did not suffice for more: ${failure.message}`]);
    } catch (thrown) {
      failure = asShortage(thrown);
    }
  }
  throw exhausted(failure, alternatives);
}

/** Any other failure goes on its way. */
function asShortage(thrown: unknown): StartFailure {
  if (thrown instanceof StartFailure && thrown.error.code === "out_of_memory") return thrown;
  throw thrown;
}

function advise({ error, died }: StartFailure, [mildest]: readonly LoadAlternative[]): StartFailure {
  if (mildest === undefined) return new StartFailure(error, died);
  const hint = `The smallest change that may help: ${mildest.words}. With --on-oom step-down the server tries it by itself.`;
  return new StartFailure(new AppError({ ...error.toBody(), hint }, { cause: error }), died);
}

function exhausted({ error, died }: StartFailure, tried: readonly LoadAlternative[]): StartFailure {
  const last = tried.at(-1);
  if (last === undefined) return new StartFailure(error, died);
  const message = `${error.message} That was with what is least: ${last.words}.`;
  return new StartFailure(new AppError({ ...error.toBody(), message }, { cause: error }), died);
}
