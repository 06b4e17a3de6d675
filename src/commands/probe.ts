// `probe` (hidden): asks the GPU's driver once, in a process that may die of it. Started by probe-trial.ts alone. What the
// driver says is nobody's business here: only how this process ends is.

import { listNvmlPaths } from "../hardware/nvidia-driver.ts";
import { loadProbeAddon, Probe } from "../hardware/probe.ts";
import { systemClock } from "../lib/clock.ts";
import type { Environment } from "../lib/paths.ts";
import { EXIT_CODES, type ExitCode } from "./exit-codes.ts";

export async function probe(addon: string, env: Environment): Promise<ExitCode> {
  const candidates = listNvmlPaths(env);
  await new Probe({ load: () => loadProbeAddon(addon), candidates, clock: systemClock }).read();
  return EXIT_CODES.ok;
}
