// Which of the models fit this machine best, how fast they would be, and which change of the machine would help most. Pure: the
// same planner, asked again with a machine that has more.

import { plan } from "../placement.ts";
import type { AskedSettings, Placed, PlanMachine, PlanPool, PlanSubject, PoolSpeed } from "./plan.ts";

export interface Candidate {
  subject: PlanSubject;
  asked: AskedSettings;
}

export interface RecommendedModel {
  id: string;
  fileBytes: number;
  verdict: "fits" | "fits-if" | "refused";
  /** Why it stands where it stands, or why it does not fit. */
  reason: string;
  /** Null: it does not fit as it is. */
  placed: Placed | null;
}

/** A machine with one thing more, and what it would mean. */
export interface HardwareChange {
  change: "main memory" | "device memory" | "memory bandwidth";
  description: string;
  /** Models that would fit and do not now. */
  gained: readonly string[];
  /** Of the models that fit now, how many times as fast the tokens would come; 1: no faster. Null: not known. */
  speedup: number | null;
}

export interface Recommendation {
  /** Best first: larger models answer better, as long as they are fast enough to read along. */
  models: readonly RecommendedModel[];
  /** The one that helps most first; those that change nothing are left out. */
  hardware: readonly HardwareChange[];
}

/** As fast as people read. */
const READING_TOKENS = 10;
const GROWTH = 2;

export function recommend(candidates: readonly Candidate[], machine: PlanMachine): Recommendation {
  const models = candidates.map((candidate) => judge(candidate, machine)).sort(compareModels);
  const hardware = listGrowths(machine)
    .map(({ grown, ...change }) => ({ ...change, ...compareMachines(candidates, models, grown) }))
    .filter(({ gained, speedup }) => gained.length > 0 || (speedup ?? 1) > 1.05)
    .sort((a, b) => b.gained.length - a.gained.length || (b.speedup ?? 1) - (a.speedup ?? 1));
  return { models, hardware };
}

function judge({ subject, asked }: Candidate, machine: PlanMachine): RecommendedModel {
  const made = plan({ subject, machine, residents: [], asked, policy: { goal: "balanced", automatic: true } });
  const { id, fileBytes } = subject;
  if (made.verdict !== "fits") return { id, fileBytes, verdict: made.verdict, reason: made.reason, placed: null };
  return { id, fileBytes, verdict: "fits", reason: explain(made.placed), placed: made.placed };
}

function explain({ settings, lowered, speed }: Placed): string {
  const rate = speed.tokensPerSecond;
  const pace =
    rate === null
      ? ""
      : rate < READING_TOKENS
        ? `, but only about ${rate.toFixed(1)} tokens/s`
        : `, about ${Math.round(rate)} tokens/s`;
  const context = lowered.some(({ setting }) => setting === "contextLength")
    ? " (less than usual, so that it fits)"
    : "";
  return `it fits with a context of ${settings.contextLength} tokens${context}${pace}`;
}

/** What fits before what does not; what can be read along before what can't; then the larger one. */
function compareModels(a: RecommendedModel, b: RecommendedModel): number {
  const order = { fits: 0, "fits-if": 1, refused: 2 };
  const isSlow = ({ placed }: RecommendedModel): number =>
    Number((placed?.speed.tokensPerSecond ?? READING_TOKENS) < READING_TOKENS);
  return (
    order[a.verdict] - order[b.verdict] || isSlow(a) - isSlow(b) || b.fileBytes - a.fileBytes || (a.id < b.id ? -1 : 1)
  );
}

interface Growth {
  change: HardwareChange["change"];
  description: string;
  grown: PlanMachine;
}

function listGrowths(machine: PlanMachine): Growth[] {
  const more = (pool: PlanPool): PlanPool => ({
    ...pool,
    // A share of twice the memory: what is free of it grows by at least that.
    budgetBytes:
      pool.budgetBytes === null || pool.totalBytes === null ? null : pool.budgetBytes + pool.totalBytes * 0.6,
  });
  const faster = ({ rates }: PoolSpeed): PoolSpeed => ({
    rates: rates.map((rate) => ({ ...rate, bytesPerSecond: rate.bytesPerSecond * GROWTH })),
  });
  const growths: Growth[] = [
    {
      change: "main memory",
      description: `twice the ${machine.host.name}`,
      grown: {
        ...machine,
        host: more(machine.host),
        devices: machine.unified ? machine.devices.map(more) : machine.devices,
      },
    },
  ];
  if (machine.devices.length > 0 && !machine.unified) {
    growths.push({
      change: "device memory",
      description: "devices with twice the memory",
      grown: { ...machine, devices: machine.devices.map(more) },
    });
  }
  if (machine.speed !== null) {
    const { speed } = machine;
    growths.push({
      change: "memory bandwidth",
      description: "memory that is read twice as fast, by the processor and by devices",
      grown: { ...machine, speed: { ...speed, host: faster(speed.host), devices: speed.devices.map(faster) } },
    });
  }
  return growths;
}

function compareMachines(
  candidates: readonly Candidate[],
  now: readonly RecommendedModel[],
  grown: PlanMachine,
): Pick<HardwareChange, "gained" | "speedup"> {
  const before = new Map(now.map((model) => [model.id, model]));
  const gained: string[] = [];
  const ratios: number[] = [];
  for (const candidate of candidates) {
    const model = judge(candidate, grown);
    const old = before.get(model.id);
    if (model.verdict === "fits" && old?.verdict !== "fits") gained.push(model.id);
    const [then, will] = [old?.placed?.speed.tokensPerSecond ?? null, model.placed?.speed.tokensPerSecond ?? null];
    if (then !== null && will !== null) ratios.push(will / then);
  }
  const median = ratios.toSorted((a, b) => a - b)[Math.floor(ratios.length / 2)];
  return { gained, speedup: median ?? null };
}
