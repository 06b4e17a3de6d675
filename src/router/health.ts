// What health says: one list of troubles, each with its reason and what mends it, whoever found it. What makes health
// `degraded` is in the list, and what is in the list makes it so. Pure.

import type { BackendUse } from "../protocol/backends.ts";
import type { Slot } from "./engines/slot.ts";
import type { Health, Trouble } from "./inference.ts";

export interface SlotState {
  id: string;
  slot: Slot;
  error: string | null;
  engine: { backend: Pick<BackendUse, "fallback"> } | null;
}

export interface Backends {
  /** File names in load order. */
  plugins: readonly string[];
  skippedPlugins: readonly { file: string; reason: string }[];
  fallback?: string;
}

/** Somebody who knows of troubles: asked anew each time, so that what is over is over. */
export type TroubleSource = () => readonly Trouble[];

/**
 * Degraded: an engine is cooling off, a model did not load, another back end computes than the one asked for first, or
 * what `others` tells of. The server itself is up, or this would not run.
 */
export function describeHealth(
  states: readonly SlotState[],
  backends: Backends,
  nowMs: number,
  others: readonly Trouble[] = [],
): Health {
  const ready = states.filter(({ slot }) => slot.kind === "ready");
  const asleep = states.filter(({ slot }) => slot.kind === "asleep");
  const troubles = [...listFallbacks(ready, backends), ...others, ...listTroubledModels(states, nowMs)];
  const details = [
    `${ready.length} ${ready.length === 1 ? "engine" : "engines"} up`,
    ...(asleep.length === 0 ? [] : [`${asleep.length} asleep`]),
    `backends ${backends.plugins.join(", ")}`,
    ...backends.skippedPlugins.map(({ file, reason }) => `without ${file}: ${lastLine(reason)}`),
    ...troubles.map(({ subject, reason }) => {
      return subject === null || reason.startsWith(subject) ? reason : `${subject}: ${reason}`;
    }),
  ].join("; ");
  return {
    status: troubles.length > 0 ? "degraded" : "healthy",
    troubles,
    backends: { llamacpp: { available: true, ready: true, details } },
  };
}

/** Of the server's own setting, told once for all, and of single models. */
function listFallbacks(ready: readonly SlotState[], { fallback }: Backends): Trouble[] {
  const own = ready.flatMap(({ id, engine }) => {
    const reason = engine?.backend.fallback ?? null;
    if (reason === null || reason === fallback) return [];
    const fix =
      "Mend what keeps the other one from working, or name in the model's backend the one that is to be used.";
    return [{ subject: id, reason, fix }];
  });
  if (fallback === undefined) return own;
  const fix = "Mend what keeps the other one from working, or name in --backend the one that is to be used.";
  return [{ subject: null, reason: fallback, fix }, ...own];
}

function listTroubledModels(states: readonly SlotState[], nowMs: number): Trouble[] {
  const cooling = states.filter(({ slot }) => slot.kind === "cooling" && slot.untilMs > nowMs);
  const failed = states.filter(({ slot, error }) => slot.kind !== "ready" && error !== null);
  return [...new Set([...cooling, ...failed])].map(({ id, slot, error }) => ({
    subject: id,
    reason: error ?? "its engine died repeatedly",
    fix:
      slot.kind === "cooling"
        ? "Its last words are in the log. The next engine is started after a pause."
        : "Mend what the reason names: the next request loads it anew.",
  }));
}

/** llama.cpp's own line stands last, and names the library that is missing. */
function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}
