// Tasks whose request has gone. Freeing a task that runs would wait for it, and the engine's thread with it: they are
// kept until they have ended by themselves.

import type { Task } from "./backend.ts";

export class AbandonedTasks implements Disposable {
  #tasks: Task<unknown>[] = [];

  /** Takes over a task; null is none. */
  add(task: Task<unknown> | null): void {
    if (task !== null) this.#tasks.push(task);
    this.sweep();
  }

  /** Frees those that have ended. */
  sweep(): void {
    if (this.#tasks.length === 0) return;
    const running = this.#tasks.filter((task) => task.poll().kind === "running");
    for (const task of this.#tasks) if (!running.includes(task)) task[Symbol.dispose]();
    this.#tasks = running;
  }

  [Symbol.dispose](): void {
    for (const task of this.#tasks.splice(0)) task[Symbol.dispose]();
  }
}
