// Greedy outputs of prompts that have a backend to themselves, straight from its logits, with what the near-tie rule
// needs to judge others by: the best tokens of each step, and the noise. That is measured here, over the same
// outputs in random company: other batches, and cells that lie scattered, but nothing shared, kept or restored.

import type { BatchPart, PreparedPrompt, Task } from "../../src/engine/backend.ts";
import type { LlamaBackend } from "../../src/engine/llama/llama-backend.ts";
import { measureNoise, type Reference, type Step } from "./near-ties.ts";
import { makeRandom } from "./random.ts";

interface Solo {
  tokens: Int32Array;
  reference: Reference;
}

/** An output that is computed again, its tokens given. */
interface Repeat {
  seqId: number;
  solo: Solo;
  /** Rows that have run. */
  at: number;
}

/** Of each step: more than two lie close together now and then. */
const CANDIDATES = 4;
/** Sequences at once while noise is measured. */
const COMPANY = 4;
/** What was measured is the largest of some thousand samples, and tests draw more; a wrong row shifts by 100 times. */
const MARGIN = 1.5;

export class SoloOutputs {
  readonly #solos: Map<string, Solo>;
  /** Largest change of the gap between the two best tokens that is mere rounding. */
  readonly noise: number;

  /** The cache must be empty, and is so afterwards. tokens: how many each output has. */
  constructor(backend: LlamaBackend, prompts: readonly string[], tokens: number) {
    this.#solos = new Map(prompts.map((text) => [text, runAlone(backend, text, tokens)]));
    this.noise = MARGIN * measureInCompany(backend, [...this.#solos.values()]);
  }

  /** The first tokens of a prompt's output. */
  expect(text: string, tokens: number): Reference {
    const steps = this.#solos.get(text)?.reference.steps.slice(0, tokens) ?? [];
    return { text: steps.map((step) => step.text).join(""), steps };
  }

  /** The tokens that follow these, at most `max`; none where these are no prompt's. */
  goOn(tokens: Int32Array, max: number): Int32Array {
    for (const solo of this.#solos.values()) {
      const isIts = solo.tokens.length > tokens.length && tokens.every((token, i) => token === solo.tokens[i]);
      if (isIts) return solo.tokens.slice(tokens.length, tokens.length + max);
    }
    return new Int32Array(0);
  }
}

function runAlone(backend: LlamaBackend, text: string, count: number): Solo {
  using prompt = prepare(backend, text);
  const { tokens } = prompt;
  const { batchSize } = backend.info;
  for (let start = 0; start < tokens.length; start += batchSize) {
    const part = tokens.slice(start, start + batchSize);
    decode(backend, [{ seqId: 0, tokens: part, start, output: start + part.length === tokens.length }]);
  }
  const steps: Step[] = [];
  for (;;) {
    const step = readStep(backend, 0);
    steps.push(step);
    if (steps.length === count) break;
    decode(backend, [
      { seqId: 0, tokens: Int32Array.of(step.id), start: tokens.length + steps.length - 1, output: true },
    ]);
  }
  backend.removeSequence(0);
  return {
    tokens: Int32Array.of(...tokens, ...steps.map(({ id }) => id)),
    reference: { text: steps.map((step) => step.text).join(""), steps },
  };
}

/** Every output twice, in batches and cells as chance has it. */
function measureInCompany(backend: LlamaBackend, solos: readonly Solo[]): number {
  const random = makeRandom(1);
  const left = [...solos, ...solos].map((solo) => ({ solo, order: random(1e6) })).toSorted((a, b) => a.order - b.order);
  let running: Repeat[] = [];
  const freeIds = Array.from({ length: COMPANY }, (_, seqId) => seqId);
  let noise = 0;
  while (left.length > 0 || running.length > 0) {
    let cells = running.reduce((sum, { solo }) => sum + solo.tokens.length, 0);
    for (let next = left.at(-1); next !== undefined && freeIds.length > 0; next = left.at(-1)) {
      cells += next.solo.tokens.length;
      if (cells > backend.info.contextLength) break;
      running.push({ seqId: freeIds.pop() ?? 0, solo: next.solo, at: 0 });
      left.pop();
    }
    const parts = running.map((repeat) => nextPart(repeat, 1 + random(Math.floor(backend.info.batchSize / COMPANY))));
    decode(backend, parts);
    const withOutput = running.filter((_, i) => parts[i]?.output === true);
    for (const [row, { solo, at }] of withOutput.entries()) {
      // The last row that ran gives the token after it.
      const expected = solo.reference.steps[at - promptLength(solo)];
      if (expected !== undefined) noise = Math.max(noise, measureNoise([expected], [readStep(backend, row)]));
    }
    const ended = running.filter(({ solo, at }) => at === solo.tokens.length - 1);
    for (const { seqId } of ended) {
      backend.removeSequence(seqId);
      freeIds.push(seqId);
    }
    running = running.filter((repeat) => !ended.includes(repeat));
  }
  return noise;
}

function promptLength({ tokens, reference }: Solo): number {
  return tokens.length - reference.steps.length;
}

/** Of a prompt up to so many rows, of an output one. */
function nextPart(repeat: Repeat, rows: number): BatchPart {
  const { seqId, solo, at } = repeat;
  const end = Math.min(at + rows, Math.max(at + 1, promptLength(solo)));
  repeat.at = end;
  return { seqId, tokens: solo.tokens.subarray(at, end), start: at, output: end >= promptLength(solo) };
}

function decode(backend: LlamaBackend, parts: BatchPart[]): void {
  const result = backend.decode(parts);
  if (result !== "done") throw new Error(`a batch that fits is ${result}`);
}

/** row: among those with output. */
function readStep(backend: LlamaBackend, row: number): Step {
  const { tokens, logits } = backend.topLogits(CANDIDATES, row);
  const textOf = (token: number): string => new TextDecoder().decode(backend.tokenBytes(token, false));
  const candidates = Array.from(tokens, (id, i) => ({ id, text: textOf(id), logprob: logits[i] ?? 0 }));
  const [best] = candidates;
  if (best === undefined) throw new Error("a row has a best token");
  return { id: best.id, text: best.text, candidates };
}

function prepare(backend: LlamaBackend, text: string): PreparedPrompt {
  using task: Task<PreparedPrompt> = backend.preparePrompt({ kind: "text", text }, null);
  for (;;) {
    const state = task.poll();
    if (state.kind === "done") return task.take();
    if (state.kind === "failed") throw state.error;
    Bun.sleepSync(1);
  }
}
