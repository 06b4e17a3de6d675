// Where models are looked for besides the models folders: a part of the table of `serve`'s options. Pure.

import { switchOption } from "../lib/option.ts";

export const PLACE_OPTIONS = {
  discover: switchOption(
    {
      name: "discover",
      description: "Also look in the folders of Hugging Face, LM Studio, Ollama, Jan",
    },
    true,
  ),
};
