// The commands that plan, with their options: a part of the table of commands.

import { SERVE_OPTIONS } from "../../config.ts";
import { booleanOption, choiceOption, type OptionSpec } from "../../lib/option.ts";
import { PLAN_GOALS } from "../../router/placement/plan.ts";
import type { CommandSpec } from "./specs.ts";

export const PLAN_GOAL = choiceOption(
  { name: "goal", placeholder: "GOAL", description: "What settings are chosen for" },
  PLAN_GOALS,
  "balanced",
);
const JSON_OPTION = booleanOption("json", "Print JSON for a machine to read");

/** How much memory models may take: what plans go by. */
export const BUDGET_OPTIONS: readonly OptionSpec[] = [
  SERVE_OPTIONS.memoryBudgetBytes,
  SERVE_OPTIONS.memoryShare,
  SERVE_OPTIONS.baseShare,
  SERVE_OPTIONS.freeShare,
  SERVE_OPTIONS.deviceShare,
  SERVE_OPTIONS.autoOptimization,
  SERVE_OPTIONS.thermalThrottling,
  SERVE_OPTIONS.powerManagement,
];

/** `engine`: the settings of an engine that a command line may give. */
export function listPlanCommands(engine: readonly OptionSpec[], configFile: OptionSpec): CommandSpec[] {
  return [
    {
      name: "plan",
      operands: "MODEL",
      operandsMax: 1,
      summary: "Tell what a model would take on this machine, without loading it",
      options: [
        PLAN_GOAL,
        JSON_OPTION,
        SERVE_OPTIONS.parallel,
        SERVE_OPTIONS.retained,
        ...BUDGET_OPTIONS,
        ...engine.filter((option) => !BUDGET_OPTIONS.includes(option)),
        configFile,
      ],
      notes: [
        "MODEL is a model's name or the path of a GGUF file. What is given by a flag is kept: where the model does not",
        "fit with it, the changes with which it does are listed with their costs, and the command fails.",
        "docs/planner.md tells how it decides.",
      ],
    },
    {
      name: "recommend",
      operands: "",
      operandsMax: 0,
      summary: "Tell which of the models here suit this machine, and what hardware would help",
      options: [JSON_OPTION, ...BUDGET_OPTIONS, SERVE_OPTIONS.modelsDir, SERVE_OPTIONS.discover, configFile],
      notes: ["Of the Hub's models search --fits tells the same."],
    },
  ];
}
