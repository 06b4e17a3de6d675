// With which changes a question that does not fit does: each one alone, and where none is enough the fewest of them together. Pure.

import { formatBytes } from "../../lib/byte-count.ts";
import { applyChange, NO_CHANGE } from "./change.ts";
import { type Knob, listKnobs } from "./knobs.ts";
import type { Placed, PlanChange, PlanOption, PlanQuestion } from "./plan.ts";
import { placeModel } from "./search.ts";

/** Each is planned, so each holds. In the order of the knobs. */
export function listOptions(question: PlanQuestion): PlanOption[] {
  const knobs = listKnobs(question);
  const single = knobs.flatMap(({ kind, changes }) => {
    const found = findFirst(question, changes);
    return found === null ? [] : [{ kind, ...found, cost: describeCost(question, found.change) }];
  });
  if (single.length > 0) return single;
  const combined = combine(question, knobs);
  return combined === null ? [] : [{ kind: "combined", ...combined, cost: describeCost(question, combined.change) }];
}

interface Found {
  change: PlanChange;
  placed: Placed;
}

/** The first one that fits. Where the last one does not, none does, and the others need not be tried. */
function findFirst(question: PlanQuestion, changes: readonly PlanChange[]): Found | null {
  const last = changes.at(-1);
  if (last === undefined || placeModel(applyChange(question, last)) === null) return null;
  for (const change of changes) {
    const placed = placeModel(applyChange(question, change));
    if (placed !== null) return { change, placed };
  }
  return null;
}

/** All knobs to their end, one after the other until it fits; then each back as far as it goes. */
function combine(question: PlanQuestion, knobs: readonly Knob[]): Found | null {
  const used: Knob[] = [];
  let change = NO_CHANGE;
  for (const knob of knobs) {
    used.push(knob);
    change = join(change, knob.changes.at(-1) ?? NO_CHANGE);
    if (placeModel(applyChange(question, change)) !== null) break;
  }
  if (placeModel(applyChange(question, change)) === null) return null;
  const parts = used.map(({ changes }) => changes.at(-1) ?? NO_CHANGE);
  for (const [at, { changes }] of used.entries()) {
    const mildest = [NO_CHANGE, ...changes].find((milder) => {
      const trial = parts.with(at, milder).reduce(join, NO_CHANGE);
      return placeModel(applyChange(question, trial)) !== null;
    });
    if (mildest !== undefined) parts[at] = mildest;
  }
  const smallest = parts.reduce(join, NO_CHANGE);
  const placed = placeModel(applyChange(question, smallest));
  return placed === null ? null : { change: smallest, placed };
}

function join(a: PlanChange, b: PlanChange): PlanChange {
  return {
    evict: [...a.evict, ...b.evict],
    asked: { ...a.asked, ...b.asked },
    model: b.model ?? a.model,
    moreBytes: b.moreBytes ?? a.moreBytes,
  };
}

const NAMES = {
  contextLength: "a context of",
  parallel: "sequences at once:",
  retainedMax: "kept prompts:",
  batchSize: "a batch of",
  microBatchSize: "a micro batch of",
  threads: "threads:",
  kvType: "a KV cache of",
  gpuLayers: "layers on devices:",
  deviceShares: "shares of devices:",
  hostExpertLayers: "layers whose experts stay in main memory:",
  checkpointBytes: "bytes for recurrent states:",
  draft: "a draft model:",
} as const;

/** In words for people; programs have the change itself. */
function describeCost({ subject, residents, asked }: PlanQuestion, change: PlanChange): string {
  const evictions = change.evict.map((id) => {
    const seconds = residents.find((resident) => resident.id === id)?.reloadSeconds ?? null;
    return `${id} is unloaded${seconds === null ? "" : `; loading it again takes about ${seconds.toFixed(1)} s`}`;
  });
  const settings = (Object.keys(change.asked) as (keyof typeof NAMES)[]).map((name) => {
    const [from, to] = [asked[name], change.asked[name]];
    if (to === undefined) return `${NAMES[name]} as the memory allows`;
    return `${NAMES[name]} ${String(to)} in place of ${from === undefined ? "f16" : String(from)}`;
  });
  const other = subject.others.find(({ id }) => id === change.model);
  const files =
    other === undefined
      ? []
      : [`${other.id} with ${formatBytes(other.fileBytes)} in place of ${formatBytes(subject.fileBytes)}`];
  return [...evictions, ...settings, ...files].join("; ");
}
