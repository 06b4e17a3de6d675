// Where models are looked for besides the models folders: a part of the table of `serve`'s options. Pure.

import { join } from "node:path";
import { type OptionSpec, pathOption, switchOption } from "../lib/option.ts";

const modelConfigDir = pathOption({
  name: "model_config_dir",
  placeholder: "DIR",
  description: "Folder of model files (JSON, YAML)",
});

export const PLACE_OPTIONS = {
  discover: switchOption(
    {
      name: "discover",
      description: "Also look in the folders of Hugging Face, LM Studio, Ollama, Jan",
    },
    true,
  ),
  modelConfigDir: {
    ...modelConfigDir,
    variable: "MODEL_CONFIG_DIR",
    default: (folders) => join(folders.config, "models"),
  } satisfies OptionSpec<typeof modelConfigDir.schema>,
};
