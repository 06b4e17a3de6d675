// What is done when the machine is short of something: a part of the table of `serve`'s options. Pure.

import { choiceOption, switchOption } from "../lib/option.ts";

export const ADAPTING_OPTIONS = {
  lowerExplicit: switchOption(
    { name: "lower_explicit", description: "Under pressure lower also what was set explicitly" },
    false,
  ),
  // What clients rely on does not become less by itself: they would meet a context that is shorter than yesterday's.
  onOom: choiceOption(
    { name: "on_oom", placeholder: "WHAT", description: "When memory does not suffice for a load" },
    ["refuse", "step-down"] as const,
    "refuse",
  ),
};
