// Topics as clients name them, in a query or in a message.

import { AppError } from "../../protocol/errors.ts";
import { EVENT_TOPICS, type EventTopic } from "../../protocol/events.ts";

/** Lists with commas; absent or empty: all. Throws `invalid_request`. */
export function readTopics(texts: readonly string[]): EventTopic[] {
  const names = texts.flatMap((text) => text.split(",")).map((name) => name.trim());
  const wanted = names.filter((name) => name !== "");
  if (wanted.length === 0) return [...EVENT_TOPICS];
  return [...new Set(wanted.map(readTopic))];
}

function readTopic(name: string): EventTopic {
  const known = EVENT_TOPICS.find((topic) => topic === name);
  if (known !== undefined) return known;
  const message = `\`topics\` has ${JSON.stringify(name.slice(0, 60))}, which is no topic`;
  const hint = `Topics are ${EVENT_TOPICS.join(", ")}.`;
  throw new AppError({ code: "invalid_request", message, hint, param: "topics" });
}
