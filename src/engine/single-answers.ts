// Requests with one answer, which take no place: embeddings, and questions about texts. Each kind has its own queue and
// gets its share of every step.

import type { ToEngine } from "../protocol/messages.ts";
import type { Backend } from "./backend.ts";
import { Embedder } from "./embedder.ts";
import type { Send } from "./outbox.ts";
import { TextDesk } from "./text-desk.ts";

export class SingleAnswers implements Disposable {
  readonly #embedder: Embedder;
  readonly #desk: TextDesk;

  constructor(backend: Backend, send: Send) {
    this.#embedder = new Embedder(backend, send);
    this.#desk = new TextDesk(backend, send);
  }

  get isReady(): boolean {
    return this.#embedder.isReady || this.#desk.isReady;
  }

  add(message: Extract<ToEngine, { type: "embed" | "tell" }>): void {
    if (message.type === "embed") this.#embedder.add(message.id, message.inputs);
    else this.#desk.add(message.id, message.question);
  }

  /** True when the request was here. */
  cancel(id: number): boolean {
    return this.#embedder.cancel(id) || this.#desk.cancel(id);
  }

  step(): void {
    this.#embedder.step();
    this.#desk.step();
  }

  [Symbol.dispose](): void {
    this.#embedder[Symbol.dispose]();
    this.#desk[Symbol.dispose]();
  }
}
