// Further names of models: those of the configuration, and those that were given while the server ran. Pure. What keeps
// the latter is passed in; which model a name means is the registry's business.

import { AppError } from "../protocol/errors.ts";
import { isReservedName } from "./name.ts";

/** Keeps names across restarts: those that were given at run time (alias → the model's id), and pins (id → its file). */
export interface AliasStore {
  entries(): ReadonlyMap<string, string>;
  /** Throws `invalid_request` when there is no room. */
  set(name: string, value: string): void;
  /** True when it was there. */
  delete(name: string): boolean;
}

/** Names go into listings, logs and file names of others. */
const ALIAS_CHARS_MAX = 200;

/** No spaces, no control characters, no `=`, which divides it from its model in the configuration. */
const ALIAS = /^[^\s\p{C}=]+$/u;

/** Throws `invalid_request` with what a name may be. */
export function checkAlias(alias: string, param: string): void {
  if (alias.length <= ALIAS_CHARS_MAX && ALIAS.test(alias)) return;
  const message = `\`${param}\` must be 1 to ${ALIAS_CHARS_MAX} characters without spaces, control characters and "="`;
  throw new AppError({ code: "invalid_request", message, param });
}

/** `gpt-4o=qwen3-8b` → the pair; a later one of the same name wins. Throws `invalid_request` for names that mean something. */
export function readAliases(settings: readonly string[]): Map<string, string> {
  return new Map(
    settings.map((setting) => {
      const at = setting.indexOf("=");
      const alias = setting.slice(0, at);
      if (isReservedName(alias)) {
        const message = `--alias can't give the name ${JSON.stringify(alias)}: it asks for a model by itself`;
        throw new AppError({ code: "invalid_request", message, hint: "Choose another name." });
      }
      return [alias, setting.slice(at + 1)];
    }),
  );
}
