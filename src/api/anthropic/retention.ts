// What `cache_control` means here: every prompt is kept anyway, and a conversation that has a name is kept longer
// (engine/prefix/retention.ts). So a request that marks something gets a name, the same in each of its turns. Pure.

import type { ChatPrompt, GenerationRequest } from "../../protocol/generation.ts";
import type { MessageRequest } from "./schema.ts";

export type CacheLifetime = "5m" | "1h";

/** The longest lifetime that the request asks for; null: it marks nothing. */
export function readCacheLifetime(body: MessageRequest): CacheLifetime | null {
  const marks = collectMarks(body);
  if (marks.length === 0) return null;
  return marks.some((mark) => mark?.ttl === "1h") ? "1h" : "5m";
}

/**
 * The conversation's name: by what its client calls it, else by what stays the same in it, its beginning. Hashed, since
 * lists show it and it may say who somebody is.
 */
export function nameConversation(body: MessageRequest, prompt: ChatPrompt): Pick<GenerationRequest, "session"> {
  if (readCacheLifetime(body) === null) return {};
  const firstUser = prompt.messages.findIndex(({ role }) => role === "user");
  // The prompt, not the body: clients move their marks from turn to turn.
  const said = body.metadata?.user_id ?? [prompt.tools, prompt.messages.slice(0, firstUser + 1)];
  const hash = new Bun.CryptoHasher("sha256").update(JSON.stringify(said)).digest("hex");
  return { session: `cached-${hash.slice(0, 16)}` };
}

type Mark = MessageRequest["cache_control"];

/** What marks of blocks, tools and what is inside of them have in common. */
interface Markable {
  cache_control?: Mark;
  content?: string | readonly Markable[];
}

function collectMarks({ cache_control, system, tools, messages }: MessageRequest): Mark[] {
  const marks: Mark[] = [cache_control];
  const add = (list: string | readonly Markable[] | undefined): void => {
    if (list === undefined || typeof list === "string") return;
    for (const item of list) {
      marks.push(item.cache_control);
      add(item.content);
    }
  };
  add(system);
  add(tools);
  for (const { content } of messages) add(content);
  return marks.filter((mark) => mark !== undefined);
}
