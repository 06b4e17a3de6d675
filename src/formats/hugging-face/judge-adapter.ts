// Whether a PEFT adapter can be converted, by what its adapter_config.json says; else why not. The weights were read before.

import { join } from "node:path";
import { quotePath } from "../../lib/shell-quote.ts";
import { type Finding, showText } from "../detection.ts";
import { type FileSource, fieldOf, readJson, textOf } from "../file-source.ts";

export const ADAPTER_CONFIG = "adapter_config.json";

/** Some kilobytes; lists of layers make the longest ones. */
const CONFIG_BYTES_MAX = 1024 * 1024;
/** What llama.cpp does not do with an adapter: the field, and the values that are harmless. */
const UNSUPPORTED: readonly (readonly [field: string, harmless: readonly unknown[]])[] = [
  ["modules_to_save", [undefined, null]],
  ["use_dora", [undefined, null, false]],
  ["lora_bias", [undefined, null, false]],
  ["bias", [undefined, null, "none"]],
  ["alora_invocation_tokens", [undefined, null]],
  ["layer_replication", [undefined, null]],
  ["trainable_token_indices", [undefined, null]],
];

export function judgeAdapter(source: FileSource, folder: string, found: Omit<Finding, "verdict" | "reason">): Finding {
  const base = { ...found, variant: "peft-adapter" };
  const path = join(folder, ADAPTER_CONFIG);
  if (source.stat(path)?.kind !== "file") {
    const reason = `a PEFT adapter without its ${ADAPTER_CONFIG}, which says how strongly it works. Fetch the whole folder.`;
    return { ...base, verdict: "unsupported", missing: [ADAPTER_CONFIG], reason };
  }
  const read = readJson(source, path, CONFIG_BYTES_MAX);
  if ("problem" in read) {
    const problem = `${ADAPTER_CONFIG} ${read.problem}`;
    return { ...base, verdict: "damaged", missing: [problem], reason: `${problem}. Fetch it again.` };
  }
  const type = textOf(fieldOf(read.value, "peft_type")) ?? "LORA";
  const odd = UNSUPPORTED.find(([field, harmless]) => {
    const value = fieldOf(read.value, field);
    return !harmless.includes(value) && !(Array.isArray(value) && value.length === 0);
  });
  if (type !== "LORA" || odd !== undefined) {
    const what = type === "LORA" ? `with ${odd?.[0]}` : `of the type ${showText(type)}`;
    const reason = `a PEFT adapter ${what}, which llama.cpp does not have. Merge it into its base model with PEFT, and convert that.`;
    return { ...base, verdict: "unsupported", reason };
  }
  const model = textOf(fieldOf(read.value, "base_model_name_or_path"));
  const whose = model === null ? "its base model" : showText(model);
  return {
    ...base,
    verdict: "convertible",
    reason: `a PEFT LoRA adapter of ${whose}. Converting makes a GGUF adapter, which \`serve --lora\` takes; BASE is the model's folder, or a GGUF of it.`,
    command: `ml-offload convert ${quotePath(folder)} --base BASE`,
    resultBytes: found.sizeBytes ?? null,
    memoryBytes: found.sizeBytes ?? null,
  };
}
