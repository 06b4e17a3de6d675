// What engines do for requests that don't say it themselves: a part of the table of `serve`'s options. Pure.

import { choiceOption, switchOption } from "../lib/option.ts";

export const ANSWERING_OPTIONS = {
  pooling: choiceOption(
    {
      name: "pooling",
      placeholder: "TYPE",
      description: "How embeddings pool; auto: as the model",
    },
    ["auto", "none", "mean", "cls", "last", "rank"] as const,
    "auto",
  ),
  contextShift: switchOption(
    { name: "context_shift", description: "When a context is full, drop the older half of it and go on" },
    false,
  ),
};
