// Events on their way out: one message a step, or some where they are long. Here, and only here, it is asserted that every request ends once.

import { assert } from "../lib/assert.ts";
import type { AppError } from "../protocol/errors.ts";
import { type GenerationEvent, isTerminal } from "../protocol/generation.ts";
import type { FromEngine } from "../protocol/messages.ts";

export type Send = (message: FromEngine, payload?: Uint8Array) => void;

/**
 * Characters of text after which a message goes out. A frame is 64 MiB at most, JSON writes a character in six bytes at
 * most, and the last event may be the echo of a prompt as long as a body can be.
 */
const MESSAGE_CHARS_MAX = 4 * 1024 * 1024;

export class Outbox {
  readonly #send: Send;
  readonly #open = new Set<number>();
  #events: [number, GenerationEvent][] = [];
  #chars = 0;

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
    if (event.type !== "delta") return;
    this.#chars += (event.text?.length ?? 0) + (event.reasoning?.length ?? 0);
    for (const call of event.toolCalls ?? []) this.#chars += call.arguments?.length ?? 0;
    if (this.#chars > MESSAGE_CHARS_MAX) this.flush();
  }

  fail(id: number, error: AppError): void {
    this.emit(id, { type: "error", error: error.toBody() });
  }

  flush(): void {
    if (this.#events.length === 0) return;
    this.#send({ type: "events", events: this.#events });
    this.#events = [];
    this.#chars = 0;
  }
}
