// Events to whoever listens. Nothing waits for a reader and nothing grows: one that is behind loses the oldest events and is
// told how many. Of events that replace each other, such as progress, only the last unread one is kept, without a loss.

export interface BusEvent<T extends string> {
  topic: T;
  seq: number;
  time: number;
  data: object;
}

export interface Batch<T extends string> {
  events: BusEvent<T>[];
  /** Events that were dropped before these because nobody had read them. */
  lost: number;
}

interface Queued<T extends string> {
  event: BusEvent<T>;
  replaces: string | null;
}

/** Enough for every file of a folder that appears at once; about 100 kB for a reader who does not read. */
const UNREAD_MAX = 256;
/** Windows of one person and some programs. More are a leak on their side, and each costs memory here. */
export const READERS_MAX = 64;

export class EventBus<T extends string> {
  readonly #now: () => number;
  readonly #readers = new Set<EventReader<T>>();
  readonly #watchers: ((topic: T) => void)[] = [];
  #seq = 0;
  #closed = false;

  /** `now`: milliseconds since the epoch. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** `replaces`: events with this key and topic that are unread still are dropped for it. */
  publish(topic: T, data: object, replaces: string | null = null): void {
    this.#seq += 1;
    const event = { topic, seq: this.#seq, time: this.#now(), data };
    for (const reader of this.#readers) reader.offer(event, replaces);
  }

  /** Null: there are `READERS_MAX` already, or it is closed. */
  subscribe(topics: readonly T[]): EventReader<T> | null {
    if (this.isFull()) return null;
    const reader = new EventReader<T>(new Set(topics), () => this.#readers.delete(reader));
    this.#readers.add(reader);
    for (const topic of topics) for (const watcher of this.#watchers) watcher(topic);
    return reader;
  }

  /** Nobody can subscribe now. */
  isFull(): boolean {
    return this.#closed || this.#readers.size >= READERS_MAX;
  }

  /** Another choice of topics, from now on; what is unread of the others goes without a loss. */
  retune(reader: EventReader<T>, topics: readonly T[]): void {
    const added = topics.filter((topic) => !reader.topics.has(topic));
    reader.choose(new Set(topics));
    for (const topic of added) for (const watcher of this.#watchers) watcher(topic);
  }

  /** Ends every reader; there are no more. */
  close(): void {
    this.#closed = true;
    for (const reader of [...this.#readers]) reader.close();
  }

  /** Whether anybody listens: what is costly to find out need not be found out for nobody. */
  hasReaders(topic: T): boolean {
    return [...this.#readers].some((reader) => reader.topics.has(topic));
  }

  /** Calls back whenever somebody begins to listen to a topic. */
  onSubscribe(watcher: (topic: T) => void): void {
    this.#watchers.push(watcher);
  }
}

export class EventReader<T extends string> {
  #topics: ReadonlySet<T>;
  readonly #leave: () => void;
  #unread: Queued<T>[] = [];
  #lost = 0;
  #closed = false;
  #wake: () => void = () => {};

  constructor(topics: ReadonlySet<T>, leave: () => void) {
    this.#topics = topics;
    this.#leave = leave;
  }

  get topics(): ReadonlySet<T> {
    return this.#topics;
  }

  /** By the bus alone, which tells its watchers. */
  choose(topics: ReadonlySet<T>): void {
    this.#topics = topics;
    this.#unread = this.#unread.filter(({ event }) => topics.has(event.topic));
  }

  offer(event: BusEvent<T>, replaces: string | null): void {
    if (this.#closed || !this.#topics.has(event.topic)) return;
    if (replaces !== null) {
      this.#unread = this.#unread.filter((old) => old.replaces !== replaces || old.event.topic !== event.topic);
    }
    this.#unread.push({ event, replaces });
    if (this.#unread.length > UNREAD_MAX) {
      this.#unread.shift();
      this.#lost += 1;
    }
    this.#wake();
  }

  /** What has come since the last call, or comes next. Null: closed. */
  async next(): Promise<Batch<T> | null> {
    while (this.#unread.length === 0 && !this.#closed) {
      const woken = Promise.withResolvers<void>();
      this.#wake = woken.resolve;
      await woken.promise;
    }
    if (this.#closed) return null;
    const batch = { events: this.#unread.map(({ event }) => event), lost: this.#lost };
    this.#unread = [];
    this.#lost = 0;
    return batch;
  }

  close(): void {
    this.#closed = true;
    this.#unread = [];
    this.#leave();
    this.#wake();
  }
}
