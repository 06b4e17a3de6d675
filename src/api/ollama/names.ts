// Model names as Ollama's clients write them: every name has a tag, `latest` where none was given. Pure but for asking
// which models there are.

import { AppError } from "../../protocol/errors.ts";
import type { ModelCard } from "../../router/inference.ts";
import type { ApiContext } from "../options.ts";

const LATEST = ":latest";

/** `demo` → `demo:latest`; a name that has a tag stays. */
export function addTag(name: string): string {
  return name.includes(":", name.lastIndexOf("/") + 1) ? name : name + LATEST;
}

export function dropLatest(name: string): string {
  return name.endsWith(LATEST) ? name.slice(0, -LATEST.length) : name;
}

/** The name as it is comes first: an id may end in `:latest`. Throws `model_not_found`. */
export function resolveTagged(api: ApiContext, name: string | undefined): ModelCard {
  return withoutTag(name ?? "", (tried) => api.inference.resolveModel(tried === "" ? undefined : tried));
}

/** Asks with the name as it is, and where that is unknown without its `:latest`. */
export function withoutTag<T>(name: string, ask: (name: string) => T): T {
  try {
    return ask(name);
  } catch (thrown) {
    const bare = dropLatest(name);
    // Of `auto:latest` the tag is no capability.
    const isUnknown = thrown instanceof AppError && ["model_not_found", "invalid_request"].includes(thrown.code);
    if (!isUnknown || bare === name) throw thrown;
    return ask(bare);
  }
}

/** Older clients say `name`. Throws `invalid_request` where neither is there. */
export function requireName({ model, name }: { model?: string; name?: string }): string {
  const given = model ?? name ?? "";
  if (given !== "") return given;
  throw new AppError({ code: "invalid_request", message: "`model` is required: a model's name", param: "model" });
}
