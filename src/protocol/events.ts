// What a server tells those who listen: one form for every topic. A leaf: whoever has something to tell publishes it, and the
// API passes it on.

export const EVENT_TOPICS = ["convert", "download", "hardware", "models"] as const;
export type EventTopic = (typeof EVENT_TOPICS)[number];

export interface ServerEvent {
  topic: EventTopic;
  /** Counts all events of this run of the server, so a gap is seen. */
  seq: number;
  /** Milliseconds since the epoch. */
  time: number;
  data: object;
}
