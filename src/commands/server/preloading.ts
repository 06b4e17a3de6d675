// The models that are loaded at the start. One that can't be keeps neither the server nor the others away; health tells of it
// until it is in memory after all.

import type { Logger } from "../../lib/log.ts";
import type { ModelRegistry } from "../../models/registry.ts";
import { type AppError, toAppError } from "../../protocol/errors.ts";
import type { TroubleSource } from "../../router/health.ts";
import type { ModelState, Trouble } from "../../router/inference.ts";
import type { Router } from "../../router/router.ts";

/** It was loaded since, or is just now. */
const COMES: readonly ModelState[] = ["loading", "loaded", "asleep"];

export class Preloading {
  readonly #names: readonly string[];
  readonly #log: Logger;
  readonly #failed = new Map<string, AppError>();
  #router: Pick<Router, "resolveModel"> | null = null;

  constructor(names: readonly string[], log: Logger) {
    this.#names = names;
    this.#log = log;
  }

  /** One after the other, so that the first ones are there soon. Never rejects. */
  async run(router: Pick<Router, "load" | "resolveModel">, registry: Pick<ModelRegistry, "list">): Promise<void> {
    this.#router = router;
    const described = registry.list().filter(({ settings }) => settings.preload === true);
    for (const name of new Set([...this.#names, ...described.map(({ id }) => id)])) {
      try {
        await router.load(name, new AbortController().signal);
      } catch (thrown) {
        const error = toAppError(thrown);
        this.#log.error("a model can't be loaded at the start", {
          model: name,
          error: error.message,
          hint: error.hint,
        });
        // Somebody unloaded it meanwhile: that is no trouble, but what he wanted.
        if (error.code !== "conflict") this.#failed.set(name, error);
      }
    }
  }

  readonly troubles: TroubleSource = () => {
    const troubles: Trouble[] = [];
    for (const [name, { message, hint }] of this.#failed) {
      if (this.#isThere(name)) this.#failed.delete(name);
      else troubles.push({ subject: name, reason: `It was to be loaded at the start: ${message}`, fix: fixOf(hint) });
    }
    return troubles;
  };

  #isThere(name: string): boolean {
    try {
      const card = this.#router?.resolveModel(name);
      return card !== undefined && COMES.includes(card.state);
    } catch (_unknown) {
      // There is still no model of that name.
      return false;
    }
  }
}

function fixOf(hint: string): string {
  return `${hint} Then load it (ml-offload load), or leave it out of --preload and of its model file.`;
}
