// The named tensors of an unpickled checkpoint: a dictionary of names, often within others (`state_dict`, `model`). Walks
// data that a hostile file has tied into knots: every container once, to a depth, with a limit on what is found.

import { isKind, PickleError, type PickleTensor, type PickleValue } from "./pickle-values.ts";

/** Trainers nest a model's weights two or three deep. */
const DEPTH_MAX = 8;
/** As for GGUF: unmerged experts make some ten thousand. */
const TENSOR_COUNT_MAX = 262_144;
const NAME_LENGTH_MAX = 1_024;

/** Names are joined by dots. Throws `PickleError`. */
export function collectTensors(root: PickleValue): Map<string, PickleTensor> {
  const found = new Map<string, PickleTensor>();
  const seen = new Set<object>();
  const visit = (value: PickleValue, name: string, depth: number): void => {
    if (isKind(value, "tensor")) {
      if (found.size >= TENSOR_COUNT_MAX) throw new PickleError("limit", `over ${TENSOR_COUNT_MAX} tensors`);
      if (name.length > NAME_LENGTH_MAX) throw new PickleError("limit", "a tensor's name is over 1,024 characters");
      found.set(name, value);
      return;
    }
    if (!isKind(value, "dict") && !isKind(value, "list") && !isKind(value, "tuple")) return;
    if (seen.has(value) || depth > DEPTH_MAX) return;
    seen.add(value);
    const entries = value.kind === "dict" ? value.entries : value.items.map((item, index) => [index, item] as const);
    for (const [key, item] of entries) {
      if (typeof key !== "string" && typeof key !== "number") continue;
      visit(item, name === "" ? String(key) : `${name}.${key}`, depth + 1);
    }
  };
  visit(root, "", 0);
  return found;
}
