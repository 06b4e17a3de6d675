// Which models are in memory together: a part of the table of `serve`'s options. Pure.

import { integerOption, listOption } from "../lib/option.ts";

export const RESIDENCY_OPTIONS = {
  memoryBudgetBytes: integerOption(
    {
      name: "memory_budget",
      placeholder: "BYTES",
      description: "Most memory of all engines together; 0 is automatic",
    },
    0,
    1024 ** 5,
    0,
  ),
  preload: listOption(
    {
      name: "preload",
      placeholder: "NAME",
      description: "Model to load at the start, or default; repeatable",
    },
    /^[^\s\p{C}]{1,1024}$/u,
    "a model's name",
  ),
};
