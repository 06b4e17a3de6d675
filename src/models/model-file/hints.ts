// `optimization_hints` of a model file: advice that becomes a setting where there is one, under our names or those of other
// programs, and where the file's own `settings` do not say it. Pure.

import { isRecord } from "../../lib/is-record.ts";
import { BACKENDS, type BackendName, listBackends } from "../../protocol/backends.ts";
import type { HardwareNote } from "./machine.ts";
import { type ModelFileSettings, SETTINGS } from "./schema.ts";

type SettingName = keyof ModelFileSettings;

export interface Hints {
  settings: ModelFileSettings;
  notes: HardwareNote[];
  withoutEffect: string[];
}

const KEY = "optimization_hints";

/** As other programs call our settings. */
const OTHER_NAMES: Readonly<Record<string, SettingName>> = {
  context_length: "ctx",
  max_context_length: "ctx",
  max_sequence_length: "ctx",
  n_ctx: "ctx",
  num_ctx: "ctx",
  num_threads: "threads",
  n_threads: "threads",
  n_gpu_layers: "gpu_layers",
  num_gpu_layers: "gpu_layers",
  n_batch: "batch_size",
  n_ubatch: "ubatch_size",
  n_parallel: "parallel",
  device: "backend",
  compute: "backend",
};
/** These say "as you like". */
const NOTHING: readonly unknown[] = ["auto", "none", "any", "default"];
/** Every back end that computes on a device. */
const DEVICES = BACKENDS.filter((name) => name !== "cpu");
/** Files and texts are no advice. */
const NO_HINTS: readonly SettingName[] = ["draft_model", "lora", "chat_template", "chat_template_file"];

export function takeHints(hints: unknown, said: ModelFileSettings): Hints {
  const result: Hints = { settings: {}, notes: [], withoutEffect: [] };
  if (hints === undefined) return result;
  if (!isRecord(hints)) return { ...result, withoutEffect: [KEY] };
  for (const [name, value] of Object.entries(hints)) {
    const key = `${KEY}.${name}`;
    if (NOTHING.includes(value)) {
      result.notes.push({ key, outcome: "unused", reason: "it leaves the choice to the server" });
      continue;
    }
    const setting = OTHER_NAMES[name] ?? (name as SettingName);
    const taken = NO_HINTS.includes(setting) ? null : toSetting(setting, value);
    if (taken === null) result.withoutEffect.push(key);
    else if (said[setting] !== undefined) {
      result.notes.push({ key, outcome: "unused", reason: `\`settings.${setting}\` says it otherwise` });
    } else {
      Object.assign(result.settings, taken);
      const shown = JSON.stringify(Object.values(taken)[0]);
      result.notes.push({ key, outcome: "used", reason: `as \`settings.${setting}\`: ${shown}` });
    }
  }
  return result;
}

/** Null: it is no setting, or out of its range. */
function toSetting(setting: SettingName, value: unknown): ModelFileSettings | null {
  if (!(setting in SETTINGS.shape)) return null;
  if (setting === "backend") {
    const backends = readBackends(value);
    // Advice is no condition: without that device it runs all the same.
    return backends === null ? null : { backend: listBackends([...backends, "cpu"]) };
  }
  const parsed = SETTINGS.safeParse({ [setting]: value });
  return parsed.success ? parsed.data : null;
}

/** `auto` → none, `gpu` → every one that is no CPU, names by commas or in a list; null: something else. */
export function readBackends(value: unknown): BackendName[] | null {
  const words = (Array.isArray(value) ? value : [value]).flatMap((word) =>
    typeof word === "string" ? word.toLowerCase().split(",") : [null],
  );
  const names: string[] = [];
  for (const word of words.map((part) => part?.trim() ?? null)) {
    if (word === null) return null;
    if (word === "gpu") names.push(...DEVICES);
    else if (BACKENDS.some((name) => name === word)) names.push(word);
    else if (!NOTHING.includes(word)) return null;
  }
  return listBackends(names);
}
