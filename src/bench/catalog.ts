// The scenarios that need nothing but a URL, in the order in which they run, and how they are named on a command line.

import { findNearest } from "../lib/nearest.ts";
import { AppError } from "../protocol/errors.ts";
import type { Scenario } from "./scenario.ts";
import { FLOOD, REQUESTS_PER_SECOND } from "./scenarios/flood.ts";
import { GROWTH_PROMPTS, GROWTH_RETAINED, GROWTH_STREAMS } from "./scenarios/growth.ts";
import { INTERLEAVED } from "./scenarios/interleaved.ts";
import { SHARED_PREFIX } from "./scenarios/shared-prefix.ts";
import { STALL } from "./scenarios/stall.ts";
import { EIGHT_STREAMS, SINGLE_STREAM } from "./scenarios/streams.ts";

export const SCENARIOS: readonly Scenario[] = [
  SINGLE_STREAM,
  EIGHT_STREAMS,
  SHARED_PREFIX,
  STALL,
  FLOOD,
  REQUESTS_PER_SECOND,
  INTERLEAVED,
  GROWTH_STREAMS,
  GROWTH_PROMPTS,
  GROWTH_RETAINED,
];

/** Those named, in the order of `all`; no name means all. `growth` means every `growth-…`. */
export function chooseScenarios<T extends { name: string }>(all: readonly T[], names: readonly string[]): T[] {
  const isMeant = (scenario: T, name: string): boolean =>
    scenario.name === name || scenario.name.startsWith(`${name}-`);
  for (const name of names) {
    if (all.some((scenario) => isMeant(scenario, name))) continue;
    const known = all.map((scenario) => scenario.name);
    const [near] = findNearest(name, known, 1);
    throw new AppError({
      code: "invalid_request",
      message: `there is no scenario "${name}"${near === undefined ? "" : `; did you mean ${near}?`}`,
      hint: `There are: ${known.join(", ")}.`,
    });
  }
  return names.length === 0 ? [...all] : all.filter((scenario) => names.some((name) => isMeant(scenario, name)));
}
