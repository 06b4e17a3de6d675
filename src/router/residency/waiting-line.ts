// Requests that wait for an engine, by model. Within a model they are served in the order in which they came to the server; the
// models stand in the order in which somebody began to wait for them. Decides nothing: admission.ts does.

import type { ModelEntry } from "../../models/entry.ts";
import { AppError } from "../../protocol/errors.ts";
import type { EngineProcess } from "../engines/engine-process.ts";

/** Who waits, since when, and for what. */
export interface Waiting {
  /** When it came to the server. Who lost his engine to others has an earlier time than they, and is not before them again. */
  sinceMs: number;
  nowMs: number;
  signal: AbortSignal;
  /** It wants the model loaded, and has nothing to ask it. */
  isLoad: boolean;
}

interface Waiter extends Pick<Waiting, "sinceMs" | "isLoad"> {
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

  /** Rejects with `cancelled`, `overloaded`, or what `fail` or `giveUpLoads` gives. */
  async wait(entry: ModelEntry, { sinceMs, nowMs, signal, isLoad }: Waiting): Promise<EngineProcess> {
    const key = entry.engineKey;
    if (this.groups().reduce((sum, { count }) => sum + count, 0) >= WAITING_MAX) {
      throw new AppError({ code: "overloaded", message: `${WAITING_MAX} requests wait for an engine already.` });
    }
    const queue = this.#queues.get(key) ?? { entry, waiters: [] };
    this.#queues.set(key, queue);
    const waiter: Waiter = {
      sinceMs,
      isLoad,
      lineMs: Math.max(sinceMs, nowMs),
      answer: Promise.withResolvers<EngineProcess>(),
    };
    const at = queue.waiters.findLastIndex((other) => other.sinceMs <= sinceMs);
    queue.waiters.splice(at + 1, 0, waiter);
    const leave = (): void => {
      waiter.answer.reject(new AppError({ code: "cancelled", message: "The request was cancelled." }));
      this.#keep(key, queue, (other) => other !== waiter);
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

  /** Those who want nothing but the load are told, and how many they were. Who has a request goes on waiting. */
  giveUpLoads(key: string, error: unknown): number {
    const queue = this.#queues.get(key);
    const loads = queue?.waiters.filter(({ isLoad }) => isLoad) ?? [];
    for (const { answer } of loads) answer.reject(error);
    if (queue !== undefined) this.#keep(key, queue, ({ isLoad }) => !isLoad);
    return loads.length;
  }

  /** Resolves when nobody waits any more of those who do now. */
  async untilAnswered(key: string): Promise<void> {
    await Promise.allSettled(this.#queues.get(key)?.waiters.map(({ answer }) => answer.promise) ?? []);
  }

  failAll(error: unknown): void {
    for (const key of [...this.#queues.keys()]) this.fail(key, error);
  }

  #keep(key: string, queue: Queue, isKept: (waiter: Waiter) => boolean): void {
    queue.waiters = queue.waiters.filter(isKept);
    if (queue.waiters.length === 0 && this.#queues.get(key) === queue) this.#queues.delete(key);
  }

  #take(key: string): Waiter[] {
    const waiters = this.#queues.get(key)?.waiters ?? [];
    this.#queues.delete(key);
    return waiters;
  }
}
