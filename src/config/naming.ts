// By which further names models answer: a part of the table of `serve`'s options. Pure.

import { listOption } from "../lib/option.ts";

export const NAMING_OPTIONS = {
  alias: listOption(
    {
      name: "alias",
      placeholder: "NAME=MODEL",
      description: "Further name of a model, such as gpt-4o=qwen3-8b; repeatable",
    },
    /^[^\s\p{C}=]{1,200}=[^\s\p{C}]{1,1024}$/u,
    "a name, = and a model's name, such as gpt-4o=qwen3-8b",
  ),
};
