// Which plug-ins an engine loads. A CPU variant is trusted only after a self-test in a child process: a compiler bug
// or a lying CPU flag otherwise ends every engine at its first prompt. The result is remembered per host and build.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { readCpuIdentity } from "../../hardware/cpu.ts";
import type { Clock } from "../../lib/clock.ts";
import { describeCudaHost } from "../../lib/cuda-libraries.ts";
import type { Logger } from "../../lib/log.ts";
import type { BackendName } from "../../protocol/backends.ts";
import { AppError } from "../../protocol/errors.ts";
import type { JobAnswer, JobQuestion } from "../../protocol/messages.ts";
import { runJob } from "../children/jobs.ts";
import type { NativeFiles } from "./native-files.ts";
import { chooseWanted } from "./wanted-backend.ts";

export interface SkippedPlugin {
  file: string;
  reason: string;
}

export interface PluginChoice {
  /** Absolute paths in load order: GPU back ends, then one CPU variant. */
  plugins: string[];
  skipped: SkippedPlugin[];
  /** What is used in place of the back end that was asked for first; absent: nothing is. */
  fallback?: string;
}

/** What the choice needs from outside; tests give their own. */
export interface PluginEffects {
  ask(question: JobQuestion): Promise<{ kind: "answer"; answer: JobAnswer } | { kind: "failed"; reason: string }>;
  recall(): PluginChoice | null;
  remember(choice: PluginChoice): void;
  warn(message: string): void;
}

/**
 * The best CPU variant that passes its self-test, and the GPU back ends that start; of those that are `wanted` the first one
 * that works. Throws when no CPU one does, or none that is wanted.
 */
export async function choosePlugins(
  files: NativeFiles,
  effects: PluginEffects,
  wanted: readonly BackendName[] = [],
): Promise<PluginChoice> {
  const known = effects.recall();
  if (known !== null) return known;
  const skipped: SkippedPlugin[] = [];
  const skip = (path: string, reason: string): void => {
    skipped.push({ file: basename(path), reason });
    effects.warn(`${basename(path)} is not used: ${reason}`);
  };
  const test = async (path: string): Promise<boolean> => {
    const result = await effects.ask({
      job: "selftest",
      plugin: path,
      modelPath: files.demoModel,
    });
    if (result.kind === "failed") skip(path, result.reason);
    return result.kind === "answer";
  };

  const plugins: string[] = [];
  let fallback: string | null = null;
  if (wanted.length === 0) {
    skipped.push(...(files.held ?? []));
    for (const path of files.gpuPlugins) if (await test(path)) plugins.push(path);
  } else {
    const chosen = await chooseWanted(wanted, files, (path) => probeDevice(path, files, effects));
    for (const { file, reason } of chosen.skipped) skip(file, reason);
    if (chosen.plugin !== null) plugins.push(chosen.plugin);
    fallback = chosen.fallback;
  }
  const cpu = await firstPassing(await rankVariants(files, effects, skip), test);
  if (cpu === null) {
    const reasons = skipped.map(({ file, reason }) => `${file}: ${reason}`).join("; ");
    throw new AppError({
      code: "internal",
      message: `No backend is usable. ${reasons || "No CPU plug-in was found."}`,
      hint: "If the cache folder is mounted noexec, set XDG_CACHE_HOME or ML_OFFLOAD_NATIVE_DIR to another one.",
    });
  }
  const choice = { plugins: [...plugins, cpu], skipped, ...(fallback === null ? {} : { fallback }) };
  effects.remember(choice);
  return choice;
}

/** Why a GPU back end is of no use here; null: it is. One that starts may find nothing to compute on. */
async function probeDevice(plugin: string, files: NativeFiles, effects: PluginEffects): Promise<string | null> {
  const result = await effects.ask({ job: "selftest", plugin, modelPath: files.demoModel });
  if (result.kind === "failed") return result.reason;
  const hasDevice = result.answer.job === "selftest" && result.answer.devices.length > 0;
  return hasDevice ? null : "it finds no device here";
}

async function firstPassing(paths: string[], test: (path: string) => Promise<boolean>): Promise<string | null> {
  for (const path of paths) if (await test(path)) return path;
  return null;
}

/** Variants that this processor can run, best first. */
async function rankVariants(
  files: NativeFiles,
  effects: PluginEffects,
  skip: (path: string, reason: string) => void,
): Promise<string[]> {
  const result = await effects.ask({ job: "scores", plugins: files.cpuPlugins });
  if (result.kind === "failed" || result.answer.job !== "scores") {
    const reason = result.kind === "failed" ? result.reason : "the child answered another question";
    for (const path of files.cpuPlugins) skip(path, reason);
    return [];
  }
  const { scores } = result.answer;
  for (const { path, error } of scores) if (error !== undefined) skip(path, error);
  return scores
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)
    .map(({ path }) => path);
}

/** The real effects: children, and a small file in the cache folder. */
export function pluginEffects(
  files: NativeFiles,
  cacheFolder: string,
  log: Logger,
  clock: Clock,
  wanted: readonly BackendName[] = [],
  ask: PluginEffects["ask"] = (question) => runJob(files.library, question, log, clock),
): PluginEffects {
  const path = join(cacheFolder, "plugins.json");
  const key = describeHost(files, wanted);
  return {
    ask,
    recall: () => recall(path, key, [...files.gpuPlugins, ...files.cpuPlugins]),
    remember: (choice) => remember(path, key, choice, log),
    warn: (message) => log.warn(message),
  };
}

/** All that the choice depends on: another driver may start what the last one could not. */
function describeHost(files: NativeFiles, wanted: readonly BackendName[]): string {
  const names = [...files.cpuPlugins, ...files.gpuPlugins].map((file) => basename(file));
  const held = (files.held ?? []).map(({ file, reason }) => `without ${file}: ${reason}`);
  const driver = files.gpuPlugins.some((path) => path.includes("cuda")) ? [describeCudaHost(process.env)] : [];
  const asked = wanted.length === 0 ? [] : [`for ${wanted.join(",")}`];
  return [files.key, ...names, readCpuIdentity(), ...held, ...driver, ...asked].join(" ");
}
/** One for each list of back ends that was asked for; more than so many are those of old builds. */
const KEPT_MAX = 16;

type Kept = { key: string; choice: PluginChoice }[];

/** The same build may lie elsewhere today, and be gone from where it was: its files count by their names. */
function recall(path: string, key: string, present: readonly string[]): PluginChoice | null {
  const choice = readKept(path).find((kept) => kept.key === key)?.choice;
  if (!Array.isArray(choice?.plugins)) return null;
  const plugins = choice.plugins.map((old) => present.find((file) => basename(file) === basename(old)));
  return plugins.every((file) => file !== undefined) ? { ...choice, plugins } : null;
}

function readKept(path: string): Kept {
  try {
    const { choices } = JSON.parse(readFileSync(path, "utf8")) as { choices?: Kept };
    return Array.isArray(choices) ? choices : [];
  } catch {
    // No file, or one that is no longer readable: the test runs again.
    return [];
  }
}

function remember(path: string, key: string, choice: PluginChoice, log: Logger): void {
  try {
    const others = readKept(path).filter((kept) => kept.key !== key);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${path}.part`, JSON.stringify({ choices: [{ key, choice }, ...others].slice(0, KEPT_MAX) }));
    renameSync(`${path}.part`, path);
  } catch (thrown) {
    log.warn("the self-test's result can't be kept; it runs again at the next start", { error: String(thrown) });
  }
}
