// What llama.cpp's back ends find to compute on. Asked in a child, where a driver may die, and once: a back end of a GPU takes
// memory there to tell.

import type { Clock } from "../../lib/clock.ts";
import type { BackendDevice } from "../../protocol/machine.ts";
import type { JobResult } from "../children/jobs.ts";

export interface BackendDeviceList {
  /** Null: it could not be told. */
  devices: BackendDevice[] | null;
  reason: string | null;
}

export interface BackendDeviceSource {
  list(): Promise<BackendDeviceList>;
}

/** A child that failed is not started anew for each who asks. */
const AGAIN_MS = 60_000;

export class BackendDevices implements BackendDeviceSource {
  readonly #ask: () => Promise<JobResult>;
  readonly #clock: Clock;
  #answer: Promise<BackendDeviceList> | null = null;
  #againMs = Infinity;

  /** `ask` puts the job's question. */
  constructor(ask: () => Promise<JobResult>, clock: Clock) {
    this.#ask = ask;
    this.#clock = clock;
  }

  async list(): Promise<BackendDeviceList> {
    if (this.#clock.monotonicMs() >= this.#againMs) this.#answer = null;
    this.#answer ??= this.#find();
    return await this.#answer;
  }

  async #find(): Promise<BackendDeviceList> {
    this.#againMs = Infinity;
    const list = await this.#ask().then(describe, (thrown: Error) => ({ devices: null, reason: thrown.message }));
    if (list.devices === null) this.#againMs = this.#clock.monotonicMs() + AGAIN_MS;
    return list;
  }
}

function describe(result: JobResult): BackendDeviceList {
  if (result.kind === "failed") return { devices: null, reason: result.reason };
  if (result.answer.job !== "devices") return { devices: null, reason: "the child answered another question" };
  return { devices: result.answer.devices, reason: null };
}
