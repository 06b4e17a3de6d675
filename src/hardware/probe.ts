// Asks the native addon (native/probe) for its readings, with a limit on the time: a driver that hangs costs one thread and
// an answer, never the server. What the readings mean is decided elsewhere.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import type { Clock } from "../lib/clock.ts";
import { isRecord } from "../lib/is-record.ts";

/** The addon's functions. */
export interface ProbeAddon {
  /** False: the last question is still open. */
  begin(candidates: readonly string[]): boolean;
  /** The answer as JSON, once; null: not yet. */
  take(): string | null;
}

export type ProbeReading =
  | { kind: "answer"; raw: Readonly<Record<string, unknown>> }
  /** No addon, or nothing that can be read. */
  | { kind: "absent"; reason: string }
  /** The driver hangs. */
  | { kind: "silent"; reason: string }
  /** The driver's library ends the process that loads it: it is not loaded here. */
  | { kind: "crashed"; reason: string };

/** A first question to the driver, in a process that may die of it: how it died, such as "SIGSEGV", or null. */
export type ProbeTrial = () => Promise<string | null>;

export interface ProbeOptions {
  /** Throws when there is none. */
  load: () => ProbeAddon;
  /** Where the driver's library is looked for. */
  candidates: readonly string[];
  clock: Clock;
  timeoutMs?: number;
  /** Null: there is nothing to try. */
  trial?: ProbeTrial | null;
}

/** Starting the driver's library takes a second for each GPU that sleeps; what is later than this comes with the next look. */
const PROBE_MS_MAX = 3_000;
/** An answer takes a few milliseconds; a look at whether it is there, none. */
const LOOK_MS = 2;

const SILENT = { kind: "silent", reason: "the GPU's driver does not answer" } as const;

export class Probe {
  readonly #options: ProbeOptions;
  #addon: ProbeAddon | null = null;
  #failure: string | null = null;
  #pending: Promise<ProbeReading> | null = null;
  /** What came of the trial; null: nothing that speaks against asking here. */
  #crash: string | null = null;
  #tried = false;

  constructor(options: ProbeOptions) {
    this.#options = options;
  }

  /** Whoever asks while a question is open gets its answer. Never rejects. */
  async read(): Promise<ProbeReading> {
    this.#pending ??= this.#ask().finally(() => {
      this.#pending = null;
    });
    return await this.#pending;
  }

  async #ask(): Promise<ProbeReading> {
    const addon = this.#load();
    if (addon === null) return { kind: "absent", reason: this.#failure ?? "" };
    try {
      if (!this.#tried) await this.#try();
      if (this.#crash !== null) return { kind: "crashed", reason: this.#crash };
      // One that came after its time is older than what can be had now.
      addon.take();
      const { candidates, clock, timeoutMs = PROBE_MS_MAX } = this.#options;
      if (!addon.begin(candidates)) return SILENT;
      const deadlineMs = clock.monotonicMs() + timeoutMs;
      for (let text = addon.take(); ; text = addon.take()) {
        if (text !== null) return parse(text);
        if (clock.monotonicMs() >= deadlineMs) return SILENT;
        const woken = Promise.withResolvers<void>();
        clock.after(LOOK_MS, woken.resolve, true);
        await woken.promise;
      }
    } catch (thrown) {
      return { kind: "absent", reason: `the probe failed: ${(thrown as Error).message}` };
    }
  }

  /** Once: what is known of a library holds while this process runs. */
  async #try(): Promise<void> {
    const death = (await this.#options.trial?.()) ?? null;
    this.#tried = true;
    if (death !== null) this.#crash = `the driver's library ends the process that asks it (${death})`;
  }

  #load(): ProbeAddon | null {
    if (this.#addon !== null || this.#failure !== null) return this.#addon;
    try {
      this.#addon = this.#options.load();
    } catch (thrown) {
      this.#failure = `the probe can't be loaded: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
    }
    return this.#addon;
  }
}

function parse(text: string): ProbeReading {
  const raw: unknown = JSON.parse(text);
  return isRecord(raw) && "platform" in raw
    ? { kind: "answer", raw }
    : { kind: "absent", reason: "the probe gives no answer" };
}

/** The addon of a file. Throws when it is not there or is none. */
export function loadProbeAddon(path: string): ProbeAddon {
  if (!existsSync(path)) throw new Error(`${path} is not there`);
  const addon: unknown = createRequire(import.meta.url)(path);
  if (!isRecord(addon) || typeof addon.begin !== "function" || typeof addon.take !== "function") {
    throw new Error(`${path} is another addon`);
  }
  return addon as unknown as ProbeAddon;
}
