// Which of the back ends that were asked for is used: the first one that is in this build and finds a device here. Pure but
// for the probe.

import { basename } from "node:path";
import type { BackendName } from "../../protocol/backends.ts";
import { AppError } from "../../protocol/errors.ts";
import type { NativeFiles } from "./native-files.ts";
import type { SkippedPlugin } from "./plugins.ts";

export interface WantedChoice {
  /** The GPU plug-in to load; null: the CPU alone. */
  plugin: string | null;
  skipped: SkippedPlugin[];
  /** What is used in place of the first one, in words; null: that one is used. */
  fallback: string | null;
}

/** `probe`: why a plug-in does not work here; null: it does. Throws `plan_refused` when none works. */
export async function chooseWanted(
  wanted: readonly BackendName[],
  { gpuPlugins, held = [] }: Pick<NativeFiles, "gpuPlugins" | "held">,
  probe: (plugin: string) => Promise<string | null>,
): Promise<WantedChoice> {
  const skipped: SkippedPlugin[] = [];
  const end = (name: BackendName, plugin: string | null): WantedChoice => {
    return { plugin, skipped, fallback: name === wanted[0] ? null : `${name} in place of ${wanted[0]}` };
  };
  for (const name of wanted) {
    if (name === "cpu") return end(name, null);
    const isNamed = (file: string): boolean => basename(file).startsWith(`libggml-${name}.`);
    const plugin = gpuPlugins.find(isNamed);
    const kept = held.find(({ file }) => isNamed(file));
    const reason = plugin === undefined ? (kept?.reason ?? "this build has none") : await probe(plugin);
    if (reason === null) return end(name, plugin ?? null);
    skipped.push({ file: kept?.file ?? basename(plugin ?? name), reason });
  }
  const reasons = skipped.map(({ file, reason }) => `${file}: ${reason}`).join("; ");
  throw new AppError({
    code: "plan_refused",
    message: `None of the back ends ${wanted.join(", ")} works here. ${reasons}`,
    hint: "Name cpu as the last one, or name none.",
  });
}
