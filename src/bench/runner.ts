// Runs scenarios: all servers in turn within a run, another one first at each run, and medians over the runs.
// A run that fails is a line in the result, not the end. Prints nothing.

import { toAppError } from "../protocol/errors.ts";
import type { Metric, Scenario } from "./scenario.ts";
import { median } from "./timing.ts";

/** One of the servers that are compared; the first of a list is the one that is judged. */
export interface Contestant<Subject> {
  name: string;
  subject: Subject;
}

export interface RunOptions {
  runs: number;
  seed: string;
  onProgress?: (line: string) => void;
}

/** Of one run; null: it yielded none. */
type Figure = number | null;

export type Verdict = "reached" | "not reached" | "not measured";

export interface MetricResult {
  metric: Metric;
  /** By contestant: the figure of each run that yielded one. */
  values: Readonly<Record<string, readonly number[]>>;
  medians: Readonly<Record<string, number | null>>;
  /** The first over each other one: the median of the runs' ratios, since a machine's pace changes from run to run. */
  ratios: Readonly<Record<string, number | null>>;
  /** The ratio to the better of the others: the one that counts. */
  ratio: number | null;
  /** Null where nothing is to be reached. */
  verdict: Verdict | null;
}

export interface ScenarioResult {
  scenario: string;
  summary: string;
  metrics: readonly MetricResult[];
  /** What went wrong, by contestant and run. */
  failures: readonly string[];
}

export async function runScenario<Subject>(
  scenario: Scenario<Subject>,
  contestants: readonly Contestant<Subject>[],
  { runs, seed, onProgress = () => undefined }: RunOptions,
): Promise<ScenarioResult> {
  const values = new Map<string, Map<string, Figure[]>>(
    scenario.metrics.map(({ key }) => [key, new Map(contestants.map(({ name }) => [name, Array(runs).fill(null)]))]),
  );
  const failures: string[] = [];
  for (let run = 0; run < runs; run++) {
    for (const { name, subject } of rotate(contestants, run)) {
      const startMs = performance.now();
      try {
        const figures = await scenario.run(subject, { run, seed: `${seed}/${scenario.name}/${run}` });
        for (const { key } of scenario.metrics) {
          const ofRuns = values.get(key)?.get(name);
          if (ofRuns !== undefined) ofRuns[run] = figures[key] ?? null;
        }
      } catch (thrown) {
        failures.push(`${name}, run ${run + 1}: ${toAppError(thrown).message}`);
      }
      const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
      onProgress(`${scenario.name}, run ${run + 1} of ${runs}, ${name}: ${seconds} s`);
    }
  }
  const names = contestants.map(({ name }) => name);
  const metrics = scenario.metrics.map((metric) => judge(metric, names, values.get(metric.key) ?? new Map()));
  return { scenario: scenario.name, summary: scenario.summary, metrics, failures };
}

function rotate<T>(items: readonly T[], by: number): T[] {
  const at = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

/** Pure: medians, ratios, and whether the goal was reached. `figures` has one for each run, by contestant. */
export function judge(
  metric: Metric,
  names: readonly string[],
  figures: ReadonlyMap<string, readonly Figure[]>,
): MetricResult {
  const values = Object.fromEntries(names.map((name) => [name, (figures.get(name) ?? []).filter(isMeasured)]));
  const medians = Object.fromEntries(names.map((name) => [name, median(values[name] ?? [])]));
  const [first = "", ...others] = names;
  const own = medians[first] ?? null;
  const ratios = Object.fromEntries(
    others.map((name) => [name, medianRatio(figures.get(first) ?? [], figures.get(name) ?? [])]),
  );
  const known = Object.values(ratios).filter((ratio) => ratio !== null);
  const worst = metric.better === "more" ? Math.min(...known) : Math.max(...known);
  const ratio = known.length === 0 ? null : worst;
  return {
    metric,
    values,
    medians,
    ratios,
    ratio,
    verdict: reach(metric, ratio, own),
  };
}

function reach({ goal }: Metric, ratio: number | null, own: number | null): Verdict | null {
  if (goal === undefined) return null;
  const measured = goal.of === "ratio" ? ratio : own;
  if (measured === null) return "not measured";
  const isReached = goal.bound === "least" ? measured >= goal.limit : measured <= goal.limit;
  return isReached ? "reached" : "not reached";
}

function medianRatio(own: readonly Figure[], other: readonly Figure[]): number | null {
  return median(own.map((figure, run) => divide(figure, other[run] ?? null)).filter(isMeasured));
}

function isMeasured(figure: Figure): figure is number {
  return figure !== null;
}

function divide(own: Figure, other: Figure): Figure {
  return own === null || other === null || other === 0 ? null : own / other;
}
