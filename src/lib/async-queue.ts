// A bounded queue between one producer and one consumer that awaits: engine events on their way to a
// client. The producer is told when to pause (high water) and when to go on (low water), so a reader
// that stops reading holds a bounded buffer. It never drops an item and never blocks the producer.

import { assert } from "./assert.ts";

export interface AsyncQueueOptions<T> {
  /** `push` returns true from this weight on: pause the producer. */
  highWater: number;
  /** After a pause, `onLow` is called once when the weight has fallen to this. Default: a quarter. */
  lowWater?: number;
  /** Of an item, above 0. Default: 1 each. */
  weigh?: (item: T) => number;
  /** Hard limit of items: what a producer may still send until it has seen the pause. Default: 16 times `highWater`. */
  sizeMax?: number;
  /** Resume the producer. */
  onLow?: () => void;
  /** The consumer left before the end: its items will never be read. */
  onAbandon?: () => void;
}

/** The producer ignored the pause until the hard limit was reached. */
export class QueueOverflow extends Error {
  constructor(sizeMax: number) {
    super(`a queue holds ${sizeMax} unread items although its producer was told to pause`);
    this.name = "QueueOverflow";
  }
}

export class AsyncQueue<T> implements AsyncIterable<T> {
  readonly #options: AsyncQueueOptions<T>;
  readonly #lowWater: number;
  readonly #sizeMax: number;
  #items: T[] = [];
  /** Index of the next item: shifting the array at every read would cost its length. */
  #head = 0;
  #weight = 0;
  /** The reader that waits: what comes next is its, without a stay in the queue. */
  #waiter: ((step: IteratorResult<T>) => void) | null = null;
  #pausing = false;
  #ended = false;
  #abandoned = false;
  #consumed = false;

  constructor(options: AsyncQueueOptions<T>) {
    this.#options = options;
    this.#lowWater = options.lowWater ?? Math.floor(options.highWater / 4);
    this.#sizeMax = options.sizeMax ?? options.highWater * 16;
    assert(options.highWater >= 1, "highWater is at least 1");
    assert(this.#lowWater < options.highWater, "lowWater is below highWater");
    assert(this.#sizeMax >= options.highWater, "sizeMax is not below highWater");
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Adds an item. True: at or above high water, pause. Throws `QueueOverflow` at the hard limit. */
  push(item: T): boolean {
    assert(!this.#ended, "nothing is pushed after end()");
    if (this.#abandoned) return false;
    const waiter = this.#waiter;
    if (waiter !== null) {
      this.#waiter = null;
      waiter({ done: false, value: item });
      return this.#pausing;
    }
    if (this.size >= this.#sizeMax) throw new QueueOverflow(this.#sizeMax);
    this.#items.push(item);
    this.#weight += this.#weigh(item);
    if (this.#weight >= this.#options.highWater) this.#pausing = true;
    return this.#pausing;
  }

  /** No more items; the consumer still gets what is queued. Harmless when repeated. */
  end(): void {
    this.#ended = true;
    this.#dismissWaiter();
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    assert(!this.#consumed, "a queue has one consumer");
    this.#consumed = true;
    return {
      next: () => this.#next(),
      return: async () => {
        this.#abandon();
        return { done: true, value: undefined };
      },
    };
  }

  #next(): Promise<IteratorResult<T>> {
    if (this.size > 0) return Promise.resolve({ done: false, value: this.#take() });
    if (this.#ended || this.#abandoned) return Promise.resolve({ done: true, value: undefined });
    assert(this.#waiter === null, "one next() at a time");
    return new Promise((resolve) => {
      this.#waiter = resolve;
    });
  }

  #take(): T {
    const value = this.#items[this.#head] as T;
    // The slot is emptied at once, so that a read item is not kept alive by the array.
    this.#items[this.#head++] = undefined as T;
    if (this.#head === this.#items.length || this.#head >= 1024) this.#compact();
    // An empty queue weighs nothing, whatever adding and subtracting fractions made of it.
    this.#weight = this.size === 0 ? 0 : this.#weight - this.#weigh(value);
    if (this.#pausing && this.#weight <= this.#lowWater) {
      this.#pausing = false;
      this.#options.onLow?.();
    }
    return value;
  }

  #weigh(item: T): number {
    return this.#options.weigh?.(item) ?? 1;
  }

  #compact(): void {
    this.#items = this.#items.slice(this.#head);
    this.#head = 0;
  }

  #abandon(): void {
    if (this.#abandoned) return;
    this.#abandoned = true;
    const unfinished = !this.#ended || this.size > 0;
    this.#items = [];
    this.#head = 0;
    this.#dismissWaiter();
    if (unfinished) this.#options.onAbandon?.();
  }

  #dismissWaiter(): void {
    this.#waiter?.({ done: true, value: undefined });
    this.#waiter = null;
  }
}
