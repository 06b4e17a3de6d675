// Loads and unloads that somebody asks for by name: with settings of their own, or to make the model the default. Whether and
// when an engine starts is residency.ts's.

import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { assertServable, type ModelEntry } from "../../models/entry.ts";
import type { ModelRegistry } from "../../models/registry.ts";
import { type AppError, toAppError } from "../../protocol/errors.ts";
import { LoadChanges } from "../placement/load-changes.ts";
import type { LoadOptions } from "./loading.ts";
import type { Place } from "./place.ts";
import { explainStay } from "./refusals.ts";
import type { Residency } from "./residency.ts";

export interface LoadsOptions {
  registry: Pick<ModelRegistry, "resolve" | "defaultEntry" | "makeDefault">;
  residency: Residency;
  log: Logger;
  clock: Clock;
}

/** The default model when a switch to another one begins. */
interface Former {
  entry: ModelEntry;
  /** Null: it had no engine that took requests. */
  open: { place: Place; evictions: number; unloadedMs: number | null } | null;
}

export class Loads {
  /** Settings that came with loads. */
  readonly changes = new LoadChanges();
  readonly #options: LoadsOptions;

  constructor(options: LoadsOptions) {
    this.#options = options;
  }

  /** Resolves when it can answer, with the settings that it has then. */
  async load(model: string | undefined, signal: AbortSignal, options: LoadOptions = {}): Promise<ModelEntry> {
    const { registry, residency } = this.#options;
    const listed = registry.resolve(model);
    assertServable(listed);
    const former = options.becomesDefault === true ? this.#findFormer(listed) : null;
    const entry = await this.#loadWith(listed, options, signal).catch((thrown: unknown) => {
      // Who left does not end it, so nothing has failed yet.
      throw former === null || signal.aborted ? thrown : this.#returnTo(former, thrown);
    });
    if (options.keepMs !== undefined) residency.keepFor(entry, options.keepMs);
    if (options.becomesDefault === true) registry.makeDefault(listed.id);
    return entry;
  }

  unload(listed: ModelEntry): ReturnType<Residency["unload"]> {
    const unloading = this.#options.residency.unload(this.changes.apply(listed));
    // At once: who asks from now on is for an engine without them.
    this.changes.clear(listed);
    return unloading;
  }

  /** Settings of a load that fails would else fail all requests that come after it. */
  async #loadWith(listed: ModelEntry, options: LoadOptions, signal: AbortSignal): Promise<ModelEntry> {
    const { residency, clock } = this.#options;
    const changes = this.changes.try(listed, {
      ...(options.changes === undefined ? {} : { asked: options.changes }),
      ...(options.planned === undefined ? {} : { planned: options.planned }),
    });
    const entry = this.changes.apply(listed);
    const confirm = (): void => {
      if (changes !== null) this.changes.confirm(listed, changes);
    };
    const withdraw = (): void => {
      if (changes === null) return;
      this.changes.withdraw(listed, changes);
      // Its engine with the settings before may have been told to go when it is idle.
      residency.noteChange(this.changes.apply(listed));
    };
    try {
      await residency.engineFor(entry, signal, clock.monotonicMs(), true);
    } catch (thrown) {
      const start = residency.places.find(entry.engineKey)?.starting ?? null;
      if (start === null) withdraw();
      // Who left did not end it.
      else void start.then(confirm, withdraw);
      throw thrown;
    }
    confirm();
    return entry;
  }

  /** Null: there is no other one. */
  #findFormer({ id }: ModelEntry): Former | null {
    const entry = this.#options.registry.defaultEntry();
    if (entry === null || entry.id === id) return null;
    const place = this.#findOpen(entry);
    if (place === null) return { entry, open: null };
    return { entry, open: { place, evictions: place.tenure.evictions, unloadedMs: place.unloadedMs } };
  }

  /** The switch has failed, perhaps after the default model had made room for it. */
  #returnTo({ entry, open }: Former, thrown: unknown): AppError {
    if (this.#findOpen(entry) !== null) return explainStay(thrown, entry.id, "loaded");
    // Who unloaded it, or had it sleep, does not want it back.
    const madeRoom = open !== null && open.place.tenure.evictions > open.evictions;
    if (!madeRoom || open.place.unloadedMs !== open.unloadedMs) return explainStay(thrown, entry.id, "unloaded");
    this.load(entry.id, new AbortController().signal).catch((again: unknown) => {
      this.#options.log.warn("the default model did not come back", {
        model: entry.id,
        error: toAppError(again).message,
      });
    });
    return explainStay(thrown, entry.id, "returns");
  }

  /** It has an engine that takes requests. */
  #findOpen(entry: ModelEntry): Place | null {
    const place = this.#options.residency.places.find(this.changes.apply(entry).engineKey);
    return place !== null && place.engine !== null && place.tenure.closing === null ? place : null;
  }
}
