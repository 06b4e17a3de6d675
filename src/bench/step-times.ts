// Where a server's steps spend their time, by what our own servers tell of it. Others don't: then nothing is known.

import type { Target } from "./client.ts";

/** Sums since the engine began, in milliseconds. */
export interface StepSums {
  steps: number;
  stepMs: number;
  decodeMs: number;
  sampleMs: number;
  sendMs: number;
}

interface BackendReply {
  engines?: { stats?: { steps: number; times?: Omit<StepSums, "steps"> } | null }[];
}

/** Of all engines together; null where the server does not tell. */
export async function readStepSums(target: Target): Promise<StepSums | null> {
  const response = await fetch(`${target.url}/api/backend/info`).catch(() => null);
  if (response?.ok !== true) return null;
  const reply = (await response.json().catch(() => null)) as BackendReply | null;
  const total: StepSums = { steps: 0, stepMs: 0, decodeMs: 0, sampleMs: 0, sendMs: 0 };
  for (const { stats } of reply?.engines ?? []) {
    if (stats?.times === undefined) continue;
    total.steps += stats.steps;
    for (const key of ["stepMs", "decodeMs", "sampleMs", "sendMs"] as const) total[key] += stats.times[key];
  }
  return total.steps > 0 ? total : null;
}

export interface StepBreakdown {
  computeMs: number | null;
  sampleMs: number | null;
  /** Planning, counting, text and events. */
  otherMs: number | null;
  /** Writing to the socket, and what the engine does between its steps. */
  betweenMs: number | null;
}

/** Milliseconds of an average step between two readings that lie so far apart. */
export function breakDown(before: StepSums | null, after: StepSums | null, wallMs: number): StepBreakdown {
  const steps = (after?.steps ?? 0) - (before?.steps ?? 0);
  if (after === null || steps <= 0) return { computeMs: null, sampleMs: null, otherMs: null, betweenMs: null };
  const perStep = (key: keyof StepSums) => (after[key] - (before?.[key] ?? 0)) / steps;
  const [stepMs, computeMs, sampleMs] = [perStep("stepMs"), perStep("decodeMs"), perStep("sampleMs")];
  return { computeMs, sampleMs, otherMs: stepMs - computeMs - sampleMs, betweenMs: wallMs / steps - stepMs };
}
