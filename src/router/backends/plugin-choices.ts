// The plug-ins for each list of back ends that a model or the server asks for: each list is tried once, and what was found out
// about a plug-in for one list holds for the others. How a choice is made is plugins.ts.

import { basename } from "node:path";
import type { BackendName, BackendUse } from "../../protocol/backends.ts";
import type { JobAnswer } from "../../protocol/messages.ts";
import type { PluginChoice, PluginEffects } from "./plugins.ts";

export type ChoosePlugins = (wanted: readonly BackendName[]) => Promise<PluginChoice>;

export class PluginChoices {
  readonly #choose: ChoosePlugins;
  readonly #choices = new Map<string, Promise<PluginChoice>>();

  constructor(choose: ChoosePlugins) {
    this.#choose = choose;
  }

  /** None wanted: whatever works. Throws `plan_refused` when none of them works, and tries again when it is asked again. */
  async of(wanted: readonly BackendName[]): Promise<PluginChoice> {
    const key = wanted.join(",");
    let choice = this.#choices.get(key);
    if (choice === undefined) {
      choice = this.#choose(wanted);
      this.#choices.set(key, choice);
      // A driver may be there the next time.
      choice.catch(() => this.#choices.delete(key));
    }
    return await choice;
  }
}

/** Children are started once for each question that one of them has answered; one that died is asked again. */
export function askOnce(ask: PluginEffects["ask"]): PluginEffects["ask"] {
  const answers = new Map<string, JobAnswer>();
  return async (question) => {
    const key = JSON.stringify(question);
    const known = answers.get(key);
    if (known !== undefined) return { kind: "answer", answer: known };
    const result = await ask(question);
    if (result.kind === "answer") answers.set(key, result.answer);
    return result;
  };
}

/** As cards and health tell it. */
export function describeUse(wanted: readonly BackendName[], { plugins, skipped, fallback }: PluginChoice): BackendUse {
  const names = plugins.map((path) => /^libggml-([a-z0-9]+)/.exec(basename(path))?.[1] ?? basename(path));
  const devices = names.filter((name) => name !== "cpu");
  return { wanted, used: devices.length === 0 ? ["cpu"] : devices, fallback: fallback ?? null, skipped };
}
