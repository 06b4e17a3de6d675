// How much of the machine models may take, and what the planner may choose by itself: a part of the table of `serve`'s options. Pure.

import { integerOption, switchOption } from "../lib/option.ts";

const share = (name: string, description: string, least: number, standard: number) =>
  integerOption({ name, placeholder: "PERCENT", description }, least, 100, standard);

export const MEMORY_OPTIONS = {
  memoryShare: share("memory_share", "Of main memory, for models; 0 is automatic", 0, 0),
  baseShare: share("base_share", "Of main memory, kept free of models", 0, 10),
  freeShare: share("free_share", "Of free memory, for models even where less than the base is free", 0, 50),
  deviceShare: share("device_share", "Of a GPU's own memory, for models", 1, 90),
  memoryBudgetBytes: integerOption(
    {
      name: "memory_budget",
      placeholder: "BYTES",
      description: "Of main memory, for all models; 0 is automatic: by shares",
    },
    0,
    1024 ** 5,
    0,
  ),
  autoOptimization: switchOption(
    { name: "auto_optimization", description: "Lower what nobody asked for until a model fits" },
    true,
  ),
  thermalThrottling: switchOption(
    { name: "thermal_throttling", description: "Take less while the machine is hot" },
    true,
  ),
  powerManagement: switchOption({ name: "power_management", description: "Take less on battery" }, true),
};
