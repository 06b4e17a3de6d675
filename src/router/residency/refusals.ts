// What requests are told that get no engine. Pure.

import { formatBytes } from "../../lib/byte-count.ts";
import { AppError, toAppError } from "../../protocol/errors.ts";
import type { Slot } from "../engines/slot.ts";

export function explainStop(): AppError {
  return new AppError({ code: "overloaded", message: "The server is stopping." });
}

/** What became of the default model when a switch to another one failed. */
export type Stay = "loaded" | "returns" | "unloaded";

const STAYS: Record<Stay, string> = {
  loaded: "and is loaded",
  returns: "and is loaded again: it had made room",
  unloaded: "and is loaded by its next request",
};

/** What a switch is told that failed. */
export function explainStay(thrown: unknown, formerId: string, stay: Stay): AppError {
  const error = toAppError(thrown);
  const message = `${error.message.replace(/\.?$/, ".")} ${formerId} is still the default, ${STAYS[stay]}.`;
  return new AppError({ ...error.toBody(), message }, { cause: thrown });
}

/** To who asked for a load alone. */
export function explainGivenUp(modelId: string): AppError {
  return new AppError({
    code: "conflict",
    message: `${modelId} was unloaded before its load was done.`,
    hint: "Load it again if it is still wanted.",
  });
}

export function explainCooling(modelId: string, slot: Slot, waitMs: number): AppError {
  const seconds = Math.ceil(waitMs / 1000);
  const message = `The engine of ${modelId} died ${slot.deaths} times in a row. The next one starts in ${seconds} s.`;
  return new AppError({ code: "engine_crashed", message, hint: `Try again in ${seconds} s.` });
}

/** The model is loaded, and goes on generating. */
export function explainNoEmbedding(
  modelId: string,
  { name, needBytes, leftBytes }: { name: string; needBytes: number; leftBytes: number },
): AppError {
  const [need, left] = [formatBytes(Math.ceil(needBytes)), formatBytes(Math.floor(leftBytes))];
  const message = `${modelId} generates, and embeds in a context of its own, which takes ${need} of ${name}; what is loaded leaves ${left} of the budget.`;
  const hint = "Load it with a smaller --ctx, unload another model, raise --memory-budget, or use an embedding model.";
  return new AppError({ code: "plan_refused", message, hint, param: "model" });
}

export interface Shortage {
  /** The device whose memory it is; null: main memory. */
  device: string | null;
  needBytes: number;
  budgetBytes: number;
  /** What is left of the budget when all have gone that may. */
  bytesMax: number;
}

export function explainNoRoom(modelId: string, { device, needBytes, budgetBytes, bytesMax }: Shortage): AppError {
  const where = device === null ? "" : ` of ${device}`;
  const pinned = bytesMax < budgetBytes ? `, of which pinned models hold ${budgetBytes - bytesMax}` : "";
  const message = `${modelId} takes ${needBytes} bytes${where}, and all engines together may take ${budgetBytes}${pinned}.`;
  const unpin = pinned === "" ? "" : ", or unpin a model";
  const more = device === null ? `Raise --memory-budget by ${needBytes - bytesMax} bytes` : "Put fewer layers there";
  return new AppError({
    code: "plan_refused",
    message,
    hint: `${more}, choose a smaller --ctx or a smaller model${unpin}.`,
  });
}
