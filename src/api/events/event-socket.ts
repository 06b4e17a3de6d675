// Events on one WebSocket: what the bus has for its topics, as fast as the reader takes it, and answers to its messages. A reader
// that is behind loses the oldest events, as on every stream of the bus; one that takes nothing for long is cut off.

import type { Clock } from "../../lib/clock.ts";
import type { EventBus, EventReader } from "../../lib/event-bus.ts";
import { isRecord } from "../../lib/is-record.ts";
import { AppError, toAppError } from "../../protocol/errors.ts";
import type { EventTopic } from "../../protocol/events.ts";
import type { SocketSession, SocketWire } from "../socket-upgrade.ts";
import { readTopics } from "./topics.ts";

export interface EventSocketOptions {
  events: EventBus<EventTopic>;
  topics: readonly EventTopic[];
  /** 0: a reader may stall for ever. */
  stallMs: number;
  clock: Clock;
}

/** Codes of RFC 6455, section 7.4.1. */
const GOING_AWAY = 1001;
const NOT_UNDERSTOOD = 1003;
const AGAINST_RULES = 1008;
const TRY_LATER = 1013;

/** A farewell that is not read holds the server's stop: longer than a round trip to anywhere. */
const FAREWELL_MS = 1_000;
/** A client changes its topics when a person changes windows. More are a loop on its side, and each is answered. */
const MESSAGES_MAX = 60;
const MESSAGES_MS = 10_000;

export class EventSocket implements SocketSession {
  readonly #options: EventSocketOptions;
  #wire: SocketWire | null = null;
  #reader: EventReader<EventTopic> | null = null;
  /** Of a socket that takes nothing now. */
  #drained: PromiseWithResolvers<void> | null = null;
  #cancelStall: () => void = () => {};
  #cancelFarewell: () => void = () => {};
  /** When the last messages came, the oldest first. */
  #messageTimes: number[] = [];

  constructor(options: EventSocketOptions) {
    this.#options = options;
  }

  opened(wire: SocketWire): void {
    const { events, topics } = this.#options;
    this.#wire = wire;
    this.#reader = events.subscribe(topics);
    if (this.#reader === null) {
      this.#leave(TRY_LATER, "too many readers listen to events already");
      return;
    }
    this.#tellTopics();
    void this.#pump(this.#reader);
  }

  received(text: string | null): void {
    if (this.#reader === null) return;
    if (this.#isFlooding()) {
      this.#leave(AGAINST_RULES, `more than ${MESSAGES_MAX} messages in ${MESSAGES_MS / 1000} s`);
      return;
    }
    if (text === null) {
      this.#leave(NOT_UNDERSTOOD, "messages are JSON text");
      return;
    }
    try {
      this.#obey(text);
    } catch (thrown) {
      this.#send({ type: "error", error: toAppError(thrown).toBody() });
    }
  }

  drained(): void {
    this.#cancelStall();
    this.#drained?.resolve();
    this.#drained = null;
  }

  closed(): void {
    this.#wire = null;
    this.#cancelFarewell();
    this.drained();
    this.#reader?.close();
    this.#reader = null;
  }

  #obey(text: string): void {
    const message = parseMessage(text);
    switch (message.type) {
      case "subscribe":
        this.#options.events.retune(this.#reader as EventReader<EventTopic>, readTopics(message.topics));
        this.#tellTopics();
        return;
      case "ping":
        this.#send({ type: "pong" });
        return;
    }
  }

  #tellTopics(): void {
    this.#send({ type: "subscribed", topics: [...(this.#reader?.topics ?? [])] });
  }

  /** One event at a time: what the reader does not take waits in the bus, where it is bounded. */
  async #pump(reader: EventReader<EventTopic>): Promise<void> {
    for (;;) {
      const batch = await reader.next();
      if (batch === null) break;
      if (batch.lost > 0) this.#send({ type: "lost", lost: batch.lost });
      for (const event of batch.events) {
        await this.#drained?.promise;
        this.#send(event);
      }
      await this.#drained?.promise;
    }
    // The reader was closed by the bus, not by the socket's end.
    if (this.#wire !== null && this.#reader !== null) this.#leave(GOING_AWAY, "the server is stopping");
  }

  #send(message: object): void {
    if (this.#wire?.send(JSON.stringify(message)) !== true || this.#drained !== null) return;
    const { stallMs, clock } = this.#options;
    this.#drained = Promise.withResolvers<void>();
    if (stallMs > 0) this.#cancelStall = clock.after(stallMs, () => this.#wire?.terminate(), true);
  }

  #leave(code: number, reason: string): void {
    const { clock } = this.#options;
    this.#reader?.close();
    this.#reader = null;
    this.#wire?.close(code, reason);
    this.#cancelFarewell = clock.after(FAREWELL_MS, () => this.#wire?.terminate(), true);
  }

  #isFlooding(): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    this.#messageTimes = [...this.#messageTimes.filter((ms) => nowMs - ms < MESSAGES_MS), nowMs];
    return this.#messageTimes.length > MESSAGES_MAX;
  }
}

type ClientMessage = { type: "subscribe"; topics: string[] } | { type: "ping" };

/** Throws `invalid_request`. */
function parseMessage(text: string): ClientMessage {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch (_mistake) {
    message = null;
  }
  if (isRecord(message) && message.type === "ping") return { type: "ping" };
  if (isRecord(message) && message.type === "subscribe") {
    const { topics = [] } = message;
    const names = typeof topics === "string" ? [topics] : topics;
    if (Array.isArray(names) && names.every((name) => typeof name === "string")) {
      return { type: "subscribe", topics: names };
    }
    throw new AppError({ code: "invalid_request", message: "`topics` must be a list of topics", param: "topics" });
  }
  throw new AppError({
    code: "invalid_request",
    message: "a message must be JSON with a `type` that is known",
    hint: 'Send {"type":"subscribe","topics":["models"]} or {"type":"ping"}.',
    param: "type",
  });
}
