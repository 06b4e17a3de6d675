// What requests are told that get no engine. Pure.

import { formatBytes } from "../../lib/byte-count.ts";
import { AppError } from "../../protocol/errors.ts";
import type { Slot } from "../engines/slot.ts";

export function explainStop(): AppError {
  return new AppError({ code: "overloaded", message: "The server is stopping." });
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
  /** The pool: `host`, or a device. */
  name: string;
  needBytes: number;
  budgetBytes: number;
  /** What is left of the budget when all have gone that may. */
  bytesMax: number;
}

export function explainNoRoom(modelId: string, { name, needBytes, budgetBytes, bytesMax }: Shortage): AppError {
  const where = name === "host" ? "" : ` of ${name}`;
  const pinned = bytesMax < budgetBytes ? `, of which pinned models hold ${budgetBytes - bytesMax}` : "";
  const message = `${modelId} takes ${needBytes} bytes${where}, and all engines together may take ${budgetBytes}${pinned}.`;
  const unpin = pinned === "" ? "" : ", or unpin a model";
  const more = name === "host" ? `Raise --memory-budget by ${needBytes - bytesMax} bytes` : "Put fewer layers there";
  return new AppError({
    code: "plan_refused",
    message,
    hint: `${more}, choose a smaller --ctx or a smaller model${unpin}.`,
  });
}
