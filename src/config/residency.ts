// Which models are loaded at the start: a part of the table of `serve`'s options. Pure.

import { listOption } from "../lib/option.ts";

export const RESIDENCY_OPTIONS = {
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
