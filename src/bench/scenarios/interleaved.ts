// A conversation between whose turns others come by: is its state still there when it goes on? It goes on from answers
// that are written down: what a random model says is cut into other tokens when it comes back as text, by luck on one
// server more than on another.

import { type ChatTurn, stream, type Target } from "../client.ts";
import { type Figures, ratioAtMost, type Scenario, valueAtMost } from "../scenario.ts";
import { firstTokenMs, type StreamRecord } from "../timing.ts";
import { makeText } from "../words.ts";

const SYSTEM_WORDS = 400;
const TURN_WORDS = 120;
const TURN_TOKENS = 48;
const ANSWER_WORDS = 48;
/** Unrelated requests after the first, second and third turn: twenty in all. */
const STRANGERS_AFTER = [7, 7, 6];
const STRANGER_WORDS = 60;
const STRANGER_TOKENS = 16;
/** Tokens that may be read again at the fourth turn besides its new ones: chunks and checkpoints have an edge. */
const REREAD_TOKENS_MAX = 64;

export const INTERLEAVED: Scenario = {
  name: "interleaved",
  summary: "a conversation of 4 turns, with 20 unrelated short requests in between",
  metrics: [
    {
      key: "reread",
      label: "turn 4: tokens evaluated besides the new ones",
      unit: "tokens",
      better: "less",
      goal: valueAtMost(REREAD_TOKENS_MAX),
    },
    { key: "evaluated", label: "turn 4: prompt tokens evaluated", unit: "tokens", better: "less" },
    { key: "first", label: "turn 4: first token", unit: "ms", better: "less", goal: ratioAtMost(1) },
  ],
  async run(target, { seed }): Promise<Figures> {
    const turns: ChatTurn[] = [{ role: "system", content: makeText(`${seed}/system`, SYSTEM_WORDS) }];
    const answers: StreamRecord[] = [];
    for (let turn = 0; turn <= STRANGERS_AFTER.length; turn++) {
      turns.push({ role: "user", content: makeText(`${seed}/turn/${turn}`, TURN_WORDS) });
      const answer = await stream(target, { prompt: turns, maxTokens: TURN_TOKENS });
      turns.push({ role: "assistant", content: makeText(`${seed}/answer/${turn}`, ANSWER_WORDS) });
      answers.push(answer);
      await askStrangers(target, `${seed}/${turn}`, STRANGERS_AFTER[turn] ?? 0);
    }
    const [before, last] = answers.slice(-2);
    if (before === undefined || last === undefined) return {};
    return { reread: countReread(before, last), evaluated: last.evaluatedTokens, first: firstTokenMs(last) };
  },
};

/**
 * New is what the prompt has more than the one before: the last answer and the question, as the template puts them.
 */
function countReread(before: StreamRecord, last: StreamRecord): number | null {
  if (last.evaluatedTokens === null || last.promptTokens === null || before.promptTokens === null) return null;
  return last.evaluatedTokens - (last.promptTokens - before.promptTokens);
}

async function askStrangers(target: Target, seed: string, count: number): Promise<void> {
  const questions = Array.from({ length: count }, (_, i) => makeText(`${seed}/stranger/${i}`, STRANGER_WORDS));
  await Promise.all(questions.map((prompt) => stream(target, { prompt, maxTokens: STRANGER_TOKENS })));
}
