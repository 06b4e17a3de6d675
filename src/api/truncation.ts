// A conversation that is too long for the context, when its client allows that: the oldest turns are left out whole, then
// the oldest calls of the last turn, and the client is told how many. System text and tools stay, and so does what the
// user asked last. Pure but for the asking.

import { type Static, Type } from "@sinclair/typebox";
import { assert } from "../lib/assert.ts";
import { AppError } from "../protocol/errors.ts";
import type { ChatMessage, ChatPrompt, GenerationRequest } from "../protocol/generation.ts";
import type { Generation, Inference } from "../router/inference.ts";
import { sum } from "./ending.ts";

export const TRUNCATED_HEADER = "X-MLO-Truncated";

export const TRUNCATED_HEADER_DOCS = {
  [TRUNCATED_HEADER]: "What was left out of a prompt that was too long: `turns=3, messages=7`. Absent: nothing.",
};

export const Truncation = Type.Object(
  { turns: Type.Integer(), messages: Type.Integer({ description: "Of those turns, and of the last one." }) },
  { description: "What was left out of a prompt that was too long, where the request allows it. Absent: nothing." },
);
export type Truncation = Static<typeof Truncation>;

/** Each attempt renders and tokenises the prompt; estimates by length come right in two or three. */
const ATTEMPTS_MAX = 8;

/** Room for the answer, as a part of the context, where the request names no limit; and the most that a limit may take. */
const ANSWER_SHARE = 0.25;
const ANSWER_SHARE_MAX = 0.5;

/**
 * What is left out goes in such parts of the context: the next turns then begin with the same prompt, which need not be
 * read again each time.
 */
const STEP_SHARE = 1 / 8;

interface Truncated {
  generation: Generation;
  /** As it fitted. */
  request: GenerationRequest;
  truncation: Truncation | null;
}

/** All choices of one prompt: the first one finds out how much of it fits, the others share that. */
export function startTruncated(
  inference: Inference,
  model: string | undefined,
  [first, ...others]: readonly GenerationRequest[],
  signal: AbortSignal,
): { starts: Promise<Generation>[]; first: Promise<Truncated> } {
  assert(first !== undefined, "a call has at least one generation");
  const leader = generateTruncated(inference, model, first, signal);
  const starts = others.map(async (other) => {
    const { prompt } = (await leader).request;
    return inference.generate(model, { ...other, prompt }, signal);
  });
  return { starts: [leader.then(({ generation }) => generation), ...starts], first: leader };
}

/** As `generate`, but of a prompt that is too long turns are left out until it fits. `truncation` null: it fitted. */
export async function generateTruncated(
  inference: Inference,
  model: string | undefined,
  request: GenerationRequest,
  signal: AbortSignal,
): Promise<Truncated> {
  let current = request;
  let truncation: Truncation | null = null;
  for (let attempt = 1; ; attempt++) {
    try {
      return { generation: await inference.generate(model, current, signal), request: current, truncation };
    } catch (thrown) {
      const isLong = thrown instanceof AppError && thrown.code === "context_length_exceeded";
      if (!isLong || thrown.tokens === undefined || current.prompt.kind !== "chat" || attempt === ATTEMPTS_MAX)
        throw thrown;
      const excess = countExcess(thrown.tokens, request.maxTokens);
      // The last attempt leaves the last turn alone: if that is too long, the numbers in the refusal are its own.
      const share = attempt === ATTEMPTS_MAX - 1 ? 1 : excess / thrown.tokens.prompt;
      const shorter = dropOldestTurns(current.prompt, share);
      if (shorter === null) throw thrown;
      current = { ...current, prompt: shorter.prompt };
      truncation = add(truncation, shorter.dropped);
    }
  }
}

/** Tokens to be left out, so that the answer has room, in steps. */
function countExcess({ prompt, context }: { prompt: number; context: number }, maxTokens: number | undefined): number {
  const wanted = maxTokens ?? Math.ceil(context * ANSWER_SHARE);
  const room = Math.min(wanted, Math.floor(context * ANSWER_SHARE_MAX));
  const step = Math.max(1, Math.floor(context * STEP_SHARE));
  return Math.max(1, Math.ceil((prompt - (context - room)) / step)) * step;
}

/**
 * Without its oldest turns, so many that they make up `share` (0 to 1) of the prompt's length, and one at least. Null:
 * there is nothing that could go.
 */
export function dropOldestTurns(prompt: ChatPrompt, share: number): { prompt: ChatPrompt; dropped: Truncation } | null {
  const { turns, steps } = listDroppable(prompt.messages);
  const parts = [...turns, ...steps];
  if (parts.length === 0) return null;
  const chars = prompt.messages.map((message) => JSON.stringify(message).length);
  const goal = share * (sum(chars) + JSON.stringify(prompt.tools ?? []).length);
  let [count, gained] = [0, 0];
  do gained += sum((parts[count++] ?? []).map((at) => chars[at] ?? 0));
  while (gained < goal && count < parts.length);
  const gone = new Set(parts.slice(0, count).flat());
  const messages = prompt.messages.filter((_, at) => !gone.has(at));
  return { prompt: { ...prompt, messages }, dropped: { turns: Math.min(count, turns.length), messages: gone.size } };
}

export function formatTruncation({ turns, messages }: Truncation): string {
  return `turns=${turns}, messages=${messages}`;
}

/** Messages, by their places. */
type Part = number[];

/** All turns but the last; then of the last all answers of the model with what followed them, but the last again. */
function listDroppable(messages: readonly ChatMessage[]): { turns: Part[]; steps: Part[] } {
  const turns = splitTurns(messages);
  const steps: Part[] = [];
  for (const at of turns.pop() ?? []) {
    if (messages[at]?.role === "assistant") steps.push([at]);
    else steps.at(-1)?.push(at);
  }
  return { turns, steps: steps.slice(0, -1) };
}

/** A turn begins where the user speaks after somebody else. Messages before the first one belong to it. */
function splitTurns(messages: readonly ChatMessage[]): Part[] {
  const turns: Part[] = [];
  let last: string | null = null;
  for (const [at, { role }] of messages.entries()) {
    if (role === "system") continue;
    const begins = role === "user" && last !== null && last !== "user";
    const turn = turns.at(-1);
    if (turn === undefined || begins) turns.push([at]);
    else turn.push(at);
    last = role;
  }
  return turns;
}

function add(before: Truncation | null, more: Truncation): Truncation {
  return { turns: (before?.turns ?? 0) + more.turns, messages: (before?.messages ?? 0) + more.messages };
}
