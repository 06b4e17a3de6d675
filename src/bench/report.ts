// Results as a table: aligned text for a terminal, Markdown for a document. Pure.

import type { MetricResult, ScenarioResult } from "./runner.ts";
import type { Goal } from "./scenario.ts";

/** Header first. Contestants keep their order; the first is the one that is judged. */
function listRows(results: readonly ScenarioResult[], names: readonly string[]): string[][] {
  const [, ...others] = names;
  const header = ["scenario", "measure", "unit", ...names, ...(others.length > 0 ? ["ratio"] : []), "to reach", ""];
  const rows = results.flatMap(({ scenario, metrics }) =>
    metrics.map((result, index) => [
      index === 0 ? scenario : "",
      result.metric.label,
      result.metric.unit,
      ...names.map((name) => formatFigure(result.medians[name] ?? null)),
      ...(others.length > 0 ? [formatRatio(result.ratio)] : []),
      describeGoal(result.metric.goal),
      result.verdict ?? "",
    ]),
  );
  return [header, ...rows];
}

export function renderText(results: readonly ScenarioResult[], names: readonly string[]): string {
  const rows = listRows(results, names);
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, column) => align(cell, widths[column] ?? 0, column)).join("  "));
  return [...lines.map((line) => line.trimEnd()), ...listFailures(results), ""].join("\n");
}

export function renderMarkdown(results: readonly ScenarioResult[], names: readonly string[]): string {
  const [header = [], ...rows] = listRows(results, names);
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rule = line(header.map((_, column) => (isNumber(column, names.length) ? "---:" : "---")));
  const failures = listFailures(results);
  return [line(header), rule, ...rows.map(line), ...(failures.length > 0 ? ["", ...failures] : []), ""].join("\n");
}

/** Scenario, measure and unit are words; then come the figures. */
const WORD_COLUMNS = 3;

function isNumber(column: number, count: number): boolean {
  return column >= WORD_COLUMNS && column <= WORD_COLUMNS + count;
}

function align(cell: string, width: number, column: number): string {
  return column < WORD_COLUMNS ? cell.padEnd(width) : cell.padStart(width);
}

function listFailures(results: readonly ScenarioResult[]): string[] {
  return results.flatMap(({ scenario, failures }) => failures.map((failure) => `${scenario} failed: ${failure}`));
}

/** Three significant figures below a thousand. */
function formatFigure(value: number | null): string {
  if (value === null) return "–";
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return String(Math.round(value));
  return value.toPrecision(3);
}

function formatRatio(ratio: number | null): string {
  return ratio === null ? "–" : ratio.toFixed(ratio < 0.1 ? 3 : 2);
}

function describeGoal(goal: Goal | undefined): string {
  if (goal === undefined) return "";
  const limit = `${goal.bound === "least" ? "≥" : "≤"} ${goal.limit}`;
  const aim = goal.aim === undefined ? "" : `, aim ${goal.aim}`;
  return goal.of === "ratio" ? `ratio ${limit}${aim}` : `${limit}${aim}`;
}

/** What a machine wants to know of the results. */
export function toJson(results: readonly ScenarioResult[]): object[] {
  return results.map(({ metrics, ...rest }) => ({ ...rest, metrics: metrics.map(flatten) }));
}

function flatten({ metric, ...rest }: MetricResult): object {
  return { ...metric, goal: metric.goal ?? null, ...rest };
}
