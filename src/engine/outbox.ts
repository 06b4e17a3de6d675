// Events on their way out: one message a step. Here, and only here, it is asserted that every request ends once.

import { assert } from "../lib/assert.ts";
import { type GenerationEvent, isTerminal } from "../protocol/generation.ts";
import type { FromEngine } from "../protocol/messages.ts";

export type Send = (message: FromEngine, payload?: Uint8Array) => void;

export class Outbox {
  readonly #send: Send;
  readonly #open = new Set<number>();
  #events: [number, GenerationEvent][] = [];

  constructor(send: Send) {
    this.#send = send;
  }

  /** A request begins: from now on it is owed exactly one end. */
  open(id: number): void {
    assert(!this.#open.has(id), `request ${id} came twice`);
    this.#open.add(id);
  }

  isOpen(id: number): boolean {
    return this.#open.has(id);
  }

  emit(id: number, event: GenerationEvent): void {
    assert(this.#open.has(id), `request ${id} has already ended`);
    if (isTerminal(event)) this.#open.delete(id);
    this.#events.push([id, event]);
  }

  flush(): void {
    if (this.#events.length === 0) return;
    this.#send({ type: "events", events: this.#events });
    this.#events = [];
  }
}
