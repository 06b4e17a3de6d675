// What a model file says of machines: requirements, hints, and settings by the machine's size. Judged by this machine's figures:
// what is chosen, why, and what stays without effect. Pure; it knows no sizes of its own.

import type { BackendName } from "../../protocol/backends.ts";
import type { ErrorBody } from "../../protocol/errors.ts";
import { takeHints } from "./hints.ts";
import type { HardwareNote, MachineFacts } from "./machine.ts";
import { judgeRequirements } from "./requirements.ts";
import { chooseTier } from "./scaling.ts";
import type { ModelFile, ModelFileSettings } from "./schema.ts";

export interface HardwareChoice {
  /** Hints, what the file says outright, and its tier, the later before the earlier. */
  settings: ModelFileSettings;
  notes: HardwareNote[];
  /** Keys that mean nothing here. */
  withoutEffect: string[];
  /** Why this machine is not for the model; null: nothing speaks against it. */
  refusal: ErrorBody | null;
}

/** `wrong` makes what is thrown of a tier's settings that are no settings. */
export function judgeHardware(
  file: string,
  model: ModelFile,
  machine: MachineFacts,
  wrong: (keys: string[], what: string) => Error,
): HardwareChoice {
  const required = judgeRequirements(model.requirements, machine);
  const said = model.settings ?? {};
  const hints = takeHints(model.optimization_hints, said);
  const tier = chooseTier(model.hardware_scaling, machine, wrong);
  const settings = { ...hints.settings, ...said, ...tier.settings };
  const limited = limitBackends(settings.backend, required.backends);
  const notes = [...required.notes, ...hints.notes, ...tier.notes];
  const contradicts = limited?.length === 0;
  if (contradicts) {
    const reason = `none of ${settings.backend?.join(", ")}, which the settings ask for, is among ${required.backends?.join(", ")}`;
    notes.push({ key: "requirements", outcome: "unmet", reason });
  }
  const unmet = notes.find(({ outcome }) => outcome === "unmet");
  return {
    settings: limited === undefined || contradicts ? settings : { ...settings, backend: limited },
    notes,
    withoutEffect: [...required.withoutEffect, ...hints.withoutEffect, ...tier.withoutEffect],
    refusal: unmet === undefined ? null : refuse(file, unmet),
  };
}

/** Back ends that are required are the only ones; their order is that of the settings. */
function limitBackends(
  asked: readonly BackendName[] | undefined,
  required: readonly BackendName[] | null,
): BackendName[] | undefined {
  if (required === null) return asked === undefined ? undefined : [...asked];
  return asked === undefined ? [...required] : asked.filter((name) => required.includes(name));
}

function refuse(file: string, { key, reason }: HardwareNote): ErrorBody {
  return {
    code: "plan_refused",
    message: `this machine is not for the model, as ${file} has it: \`${key}\`: ${reason}`,
    hint: "Take the requirement out of the model file to load it all the same.",
  };
}
