// What a scenario is: which figures it yields, what is to be reached, and how one run of it goes. Types, and what
// scenarios share. `Subject` is what a scenario needs of a server: a URL, or for some the power to start and kill it.

import type { Target } from "./client.ts";

export type Unit = "tokens/s" | "requests/s" | "ms" | "tokens" | "requests" | "MB";

/** What is to be reached, by the ratio of ours to the better of the others, or by our own value. */
export interface Goal {
  of: "ratio" | "value";
  bound: "least" | "most";
  limit: number;
  /** Better still. */
  aim?: number;
}

export interface Metric {
  key: string;
  label: string;
  unit: Unit;
  better: "more" | "less";
  goal?: Goal;
}

/** Null: the server did not tell. */
export type Figures = Readonly<Record<string, number | null>>;

export interface Round {
  /** From 0. */
  run: number;
  /** Different at every run, the same for all servers within one: no run finds the prompts of another in a cache. */
  seed: string;
}

export interface Scenario<Subject = Target> {
  name: string;
  summary: string;
  metrics: readonly Metric[];
  run(subject: Subject, round: Round): Promise<Figures>;
}

export const ratioAtLeast = (limit: number, aim?: number): Goal => ({
  of: "ratio",
  bound: "least",
  limit,
  ...(aim === undefined ? {} : { aim }),
});
export const ratioAtMost = (limit: number): Goal => ({ of: "ratio", bound: "most", limit });
export const valueAtLeast = (limit: number): Goal => ({ of: "value", bound: "least", limit });
export const valueAtMost = (limit: number): Goal => ({ of: "value", bound: "most", limit });
