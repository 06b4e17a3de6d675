// The measured part of docs/performance.md: which machine, which command, which table. Pure but for reading the machine.

import { cpus, totalmem } from "node:os";
import { renderMarkdown } from "../../src/bench/report.ts";
import type { ScenarioResult } from "../../src/bench/runner.ts";

/** A document has a part for each command that measured some of it. */
const begin = (part: string): string => `<!-- ${part}: written by test/bench/compare.ts --markdown, do not edit -->`;
const end = (part: string): string => `<!-- end of ${part} -->`;

export interface Comparison {
  /** Shown above the table. */
  title: string;
  names: readonly string[];
  results: readonly ScenarioResult[];
}

export interface Measured {
  date: string;
  runs: number;
  command: string;
  machine: string;
  comparisons: readonly Comparison[];
}

export function describeMachine(): string {
  const [first] = cpus();
  return `${cpus().length} cores of ${first?.model.trim() ?? "an unknown CPU"}, ${Math.round(totalmem() / 2 ** 30)} GiB`;
}

export function renderMeasured({ date, runs, command, machine, comparisons }: Measured): string {
  const head = `${machine}, ${date}, medians of ${runs} ${runs === 1 ? "run" : "runs"}:\n\n\`\`\`sh\n${command}\n\`\`\``;
  const tables = comparisons
    .filter(({ results }) => results.length > 0)
    .map(({ title, results, names }) => `${title}\n\n${renderMarkdown(results, names).trimEnd()}`);
  return [head, ...tables].join("\n\n");
}

/** The document with what stands between the part's marks replaced; the part at its end where there are no marks. */
export function replaceMeasured(document: string, measured: string, part: string): string {
  const text = `${begin(part)}\n${measured}\n${end(part)}`;
  const [from, to] = [document.indexOf(begin(part)), document.indexOf(end(part))];
  if (from === -1 || to < from) return `${document === "" ? "" : `${document.trimEnd()}\n\n`}${text}\n`;
  return document.slice(0, from) + text + document.slice(to + end(part).length);
}
