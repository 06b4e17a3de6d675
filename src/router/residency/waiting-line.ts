// Requests that wait for an engine, by model. Within a model they are served in the order in which they came to the server; the
// models stand in the order in which somebody began to wait for them. Decides nothing: admission.ts does.

import type { ModelEntry } from "../../models/entry.ts";
import { AppError } from "../../protocol/errors.ts";
import type { EngineProcess } from "../engines/engine-process.ts";

interface Waiter {
  sinceMs: number;
  lineMs: number;
  answer: PromiseWithResolvers<EngineProcess>;
}

interface Queue {
  entry: ModelEntry;
  waiters: Waiter[];
}

export interface WaitingGroup {
  key: string;
  entry: ModelEntry;
  count: number;
  /** Since when the first of them stands here. */
  lineMs: number;
}

/** Systems give a process about as many connections; more would come of a client that has gone wrong. */
const WAITING_MAX = 4_096;

export class WaitingLine {
  readonly #queues = new Map<string, Queue>();
  readonly #onLeave: () => void;

  /** `onLeave`: somebody went away without an engine. */
  constructor(onLeave: () => void) {
    this.#onLeave = onLeave;
  }

  /**
   * `sinceMs`: when it came to the server. Who lost his engine to others has an earlier time than they, and is not before
   * them again. Rejects with `cancelled`, `overloaded`, or what `fail` gives.
   */
  async wait(entry: ModelEntry, sinceMs: number, nowMs: number, signal: AbortSignal): Promise<EngineProcess> {
    const key = entry.engineKey;
    if (this.groups().reduce((sum, { count }) => sum + count, 0) >= WAITING_MAX) {
      throw new AppError({ code: "overloaded", message: `${WAITING_MAX} requests wait for an engine already.` });
    }
    const queue = this.#queues.get(key) ?? { entry, waiters: [] };
    this.#queues.set(key, queue);
    const waiter: Waiter = {
      sinceMs,
      lineMs: Math.max(sinceMs, nowMs),
      answer: Promise.withResolvers<EngineProcess>(),
    };
    const at = queue.waiters.findLastIndex((other) => other.sinceMs <= sinceMs);
    queue.waiters.splice(at + 1, 0, waiter);
    const leave = (): void => {
      waiter.answer.reject(new AppError({ code: "cancelled", message: "The request was cancelled." }));
      queue.waiters.splice(queue.waiters.indexOf(waiter), 1);
      if (queue.waiters.length === 0 && this.#queues.get(key) === queue) this.#queues.delete(key);
      this.#onLeave();
    };
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave, { once: true });
    try {
      return await waiter.answer.promise;
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }

  groups(): WaitingGroup[] {
    const groups = [...this.#queues].map(([key, { entry, waiters }]) => {
      return { key, entry, count: waiters.length, lineMs: Math.min(...waiters.map(({ lineMs }) => lineMs)) };
    });
    return groups.sort((a, b) => a.lineMs - b.lineMs);
  }

  has(key: string): boolean {
    return this.#queues.has(key);
  }

  count(key: string): number {
    return this.#queues.get(key)?.waiters.length ?? 0;
  }

  /** True when somebody waited. */
  grant(key: string, engine: EngineProcess): boolean {
    const waiters = this.#take(key);
    for (const { answer } of waiters) answer.resolve(engine);
    return waiters.length > 0;
  }

  fail(key: string, error: unknown): void {
    for (const { answer } of this.#take(key)) answer.reject(error);
  }

  failAll(error: unknown): void {
    for (const key of [...this.#queues.keys()]) this.fail(key, error);
  }

  #take(key: string): Waiter[] {
    const waiters = this.#queues.get(key)?.waiters ?? [];
    this.#queues.delete(key);
    return waiters;
  }
}
