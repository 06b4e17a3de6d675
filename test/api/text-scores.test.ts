import { expect, test } from "bun:test";
import { TextScores } from "../../src/api/responses/text-scores.ts";

const score = (text: string) => ({ text, offset: 0, logprob: -1, top: [] });
const textsOf = (scores: readonly { text: string }[]) => scores.map(({ text }) => text);

function noteAll(...texts: string[]): TextScores {
  const scores = new TextScores();
  scores.note(texts.map(score));
  return scores;
}

test("the tokens of the text are found among marks and white space", () => {
  expect(textsOf(noteAll("</think>", "\n\n", "He", "llo", "<end>").take("Hello"))).toEqual(["He", "llo"]);
  expect(textsOf(noteAll(" Hello").take("Hello"))).toEqual([" Hello"]);
});

test("what is held back goes with its own text", () => {
  const scores = noteAll("He", "l");
  expect(textsOf(scores.take("He"))).toEqual(["He"]);
  scores.note([score("lo")]);
  expect(textsOf(scores.take("llo"))).toEqual(["l", "lo"]);
  expect(scores.take("x")).toEqual([]);
});

test("characters in pieces can't be found, so all tokens are theirs", () => {
  expect(textsOf(noteAll("bytes:\\xc3", "bytes:\\xa9").take("é"))).toEqual(["bytes:\\xc3", "bytes:\\xa9"]);
});

test("tokens of thoughts and calls are passed over", () => {
  const scores = noteAll("Hm");
  scores.skip();
  scores.note([score("Hm")]);
  expect(scores.take("Hm")).toHaveLength(1);
  expect(scores.take("Hm")).toHaveLength(0);
});
