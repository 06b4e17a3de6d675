// A Backend without a model, for tests. The next token hangs on every cell of the sequence that the row may see, token
// and position alike, so that a wrong position, a wrong seq-id or a lost cell changes the output. It counts its
// cells (fake-memory.ts) and its live objects, and fails where a test says so.

import type {
  AnswerParser,
  Backend,
  BatchPart,
  DecodeResult,
  OutputRow,
  PreparedPrompt,
  RowScores,
  Sampled,
  Sampler,
  SavedState,
  Task,
  TextFacts,
  TextSource,
} from "../../src/engine/backend.ts";
import { assert } from "../../src/lib/assert.ts";
import type { EmbeddingInput, Prompt, SamplingParams } from "../../src/protocol/generation.ts";
import type { LoadedModelInfo } from "../../src/protocol/model-info.ts";
import { adaptTokens, hashScales } from "./fake-adapters.ts";
import type { FakeDrafter } from "./fake-drafter.ts";
import { makeFakeDrafter } from "./fake-head.ts";
import { embedFakeTokens, readFakeInput, readFakePieces, readFakePrompt } from "./fake-inputs.ts";
import { FakeMemory, seeTokens } from "./fake-memory.ts";
import { describeFake, type FakeFaults, type FakeOptions } from "./fake-options.ts";
import { FakeSampler, pickGreedily } from "./fake-sampler.ts";
import { findSeen, scoreFakeRows } from "./fake-scores.ts";
import { type Counted, contentOf, type FakeContent, FakeState, readFakeState } from "./fake-state.ts";
import { makeFakeTask } from "./fake-task.ts";
import { END, fakeTokenBytes, PRESERVED } from "./fake-vocabulary.ts";

const KINDS = ["job", "prompt", "sampler", "parser", "state"] as const;
type Kind = (typeof KINDS)[number];

export class FakeBackend implements Backend {
  readonly info: LoadedModelInfo;
  readonly stateLayout = "fake";
  readonly outputsMax = 32;
  readonly drafter: FakeDrafter | null;
  readonly embeddingBatch = { inputs: 4, tokens: 64 };
  faults: FakeFaults = {};
  /** How often memory was given back. */
  trims = 0;
  decodeCalls = 0;
  readonly #options: FakeOptions;
  readonly #live: Record<Kind, number> = { job: 0, prompt: 0, sampler: 0, parser: 0, state: 0 };
  readonly #memory: FakeMemory;
  /** What the last decode's rows with output saw. */
  #outputs: number[][] = [];
  /** The adapters in use, as a number; 0 is none. */
  #adapters = 0;

  constructor(options: FakeOptions = {}) {
    this.#options = options;
    this.info = describeFake(options);
    this.drafter = makeFakeDrafter(options);
    this.#memory = new FakeMemory(this.info.memory, this.info.contextLength);
  }

  preparePrompt(prompt: Prompt): Task<PreparedPrompt> {
    return this.#task(readFakePrompt(prompt), this.faults.prompt?.(prompt) ?? null, prompt.kind === "chat");
  }

  prepareEmbedding(input: EmbeddingInput): Task<PreparedPrompt> {
    return this.#task(readFakeInput(input), null, false);
  }

  readText(source: TextSource): Task<TextFacts> {
    const tokens = source.kind === "pieces" ? readFakePieces(source) : readFakePrompt(source);
    const task = this.#task(tokens, this.faults.text?.(source) ?? null, false);
    return {
      ...task,
      take: () => {
        using prompt = task.take();
        const text = source.kind === "chat" ? source.messages.map(({ content }) => String(content)).join(" ") : "";
        return { tokens: prompt.tokens, text };
      },
    };
  }

  #task(tokens: Int32Array | string, fault: string | null, needsParser: boolean): Task<PreparedPrompt> {
    const result = fault ?? tokens;
    const polls = this.#options.taskPolls?.() ?? 0;
    return makeFakeTask({ result, needsParser, polls, job: this.#count("job"), count: () => this.#count("prompt") });
  }

  makeSampler(params: SamplingParams, _prompt: PreparedPrompt): Sampler {
    throwIf(this.faults.sampler?.(params));
    return new FakeSampler(params, this.#count("sampler"));
  }

  makeParser(_prompt: PreparedPrompt): AnswerParser {
    throwIf(this.faults.parser?.());
    const counted = this.#count("parser");
    return {
      push: (text, _final) => {
        counted.assertAlive();
        throwIf(this.faults.parse?.(text));
        return text === "" ? [] : [{ text }];
      },
      [Symbol.dispose]: counted.dispose,
    };
  }

  useAdapters(scales: readonly number[]): void {
    this.#adapters = hashScales(scales);
  }

  decode(parts: BatchPart[]): DecodeResult {
    this.decodeCalls++;
    const rows = parts.reduce((sum, part) => sum + part.tokens.length, 0);
    assert(rows > 0 && rows <= this.info.batchSize, `a batch of ${rows} rows`);
    this.#outputs = [];
    const fault = this.faults.decode?.(parts) ?? null;
    if (fault === "full" || fault === "aborted") return fault;
    throwIf(fault);
    if (!this.#memory.hasRoom(rows)) return "full";
    this.#memory.forget();
    this.drafter?.noteBatch(parts);
    let rowsWithOutput = 0;
    for (const part of parts) {
      const { parallel, retainedMax } = this.info;
      assert(part.seqId >= 0 && part.seqId < parallel + retainedMax, `seq-id ${part.seqId} is out of range`);
      assert(part.start === this.#memory.length(part.seqId), `sequence ${part.seqId} goes on at ${part.start}`);
      this.#memory.append(part.seqId, adaptTokens(part.tokens, this.#adapters));
      if (!part.output) continue;
      const end = part.start + part.tokens.length;
      const first = end - 1 - (part.drafted ?? 0);
      rowsWithOutput += end - first;
      this.#outputs.push(Array.from({ length: end - first }, (_, i) => this.#memory.see(part.seqId, first + i)));
    }
    assert(rowsWithOutput <= this.outputsMax, `${rowsWithOutput} rows with output`);
    return "done";
  }

  sample(samplers: Sampler[], rows?: readonly OutputRow[]): Sampled[] {
    throwIf(this.faults.sample?.());
    const seen = rows?.map(({ part, row }) => this.#outputs[part]?.[row]) ?? this.#outputs.map(([first]) => first);
    assert(samplers.length === seen.length, "one sampler for each row with output");
    return samplers.map((sampler, i) => {
      assert(sampler instanceof FakeSampler, "a sampler goes back to the backend that made it");
      const fault = this.faults.pick?.(sampler.params) ?? null;
      if (fault !== null) return { kind: "failed", error: new Error(fault) };
      return { kind: "token", token: sampler.pick(seen[i] ?? 0) };
    });
  }

  scoreRows(rows: readonly OutputRow[], tokens: Int32Array, top: number): RowScores {
    return scoreFakeRows(findSeen(this.#outputs, rows), tokens, top);
  }

  rowLogits(rows: readonly OutputRow[], tokens: Int32Array): Float32Array {
    return scoreFakeRows(findSeen(this.#outputs, rows), tokens, 0).logits;
  }

  draft(tokens: Int32Array, max: number): Int32Array {
    const { guessFails } = this.#options;
    if (guessFails === undefined) return new Int32Array(0);
    const all = [...tokens];
    for (let i = 0; i < max; i++) {
      all.push(guessFails() ? PRESERVED : pickGreedily(seeTokens(all)));
    }
    return Int32Array.from(all.slice(tokens.length));
  }

  tokenBytes(token: number, special: boolean): Uint8Array {
    return fakeTokenBytes(token, special);
  }

  isEnd(token: number): boolean {
    return token === END;
  }

  removeSequence(seqId: number): void {
    this.#memory.cut(seqId, 0);
  }

  truncateSequence(seqId: number, length: number): void {
    this.#memory.cut(seqId, length);
  }

  copySequence(from: number, to: number, length: number): void {
    this.#memory.copy(from, to, length);
  }

  covers(seqId: number, length: number): boolean {
    return this.#memory.covers(seqId, length);
  }

  copySlice(seqId: number, start: number, end: number): SavedState {
    return this.#save(this.#memory.copySlice(seqId, start, end));
  }

  #save(content: FakeContent, text = ""): FakeState {
    return new FakeState(content, text, this.#count("state"), this.faults.write);
  }

  readState(path: string): Task<SavedState> {
    let polls = this.#options.taskPolls?.() ?? 0;
    const counted = this.#count("job");
    const read = readFakeState(path);
    return {
      poll: () => {
        counted.assertAlive();
        if (polls-- > 0) return { kind: "running" };
        return read instanceof Error ? { kind: "failed", error: read } : { kind: "done" };
      },
      take: () => {
        assert(!(read instanceof Error), "a state that was read is taken");
        return this.#save(read.content, read.text);
      },
      [Symbol.dispose]: counted.dispose,
    };
  }

  applySlice(state: SavedState, seqId: number, start: number, end: number): void {
    this.#memory.applySlice(contentOf(state, "cells"), seqId, start, end);
  }

  get checkpoints(): boolean {
    return this.info.memory === "recurrent" || this.info.memory === "hybrid";
  }

  copyRest(seqId: number): SavedState {
    return this.#save(this.#memory.copyEnd(seqId, 0, 0, null));
  }

  applyRest(state: SavedState, seqId: number, length: number): void {
    this.#memory.applyRest(contentOf(state, "rest"), seqId, length);
  }

  rewind(seqId: number, length: number, rest: SavedState): void {
    const end = contentOf(rest, "rest");
    this.#memory.rewind(seqId, length);
    this.#memory.applyRest(end, seqId, length);
  }

  copyEnd(seqId: number, start: number, end: number, rest: SavedState | null): SavedState {
    return this.#save(this.#memory.copyEnd(seqId, start, end, rest === null ? null : contentOf(rest, "rest").rest));
  }

  applyEnd(state: SavedState, seqId: number, start: number, end: number): void {
    const content = contentOf(state, "rest");
    if (this.info.memory === "hybrid") this.#memory.applySlice(content.cells, seqId, start, end);
    this.#memory.applyRest(content, seqId, end);
  }

  cells(): { size: number; used: number }[] {
    return this.#memory.counts();
  }

  liveHandles(): Record<string, number> {
    return { ...this.#live };
  }

  trim(): void {
    this.trims++;
  }

  embeddingLimit(): number {
    return this.#options.embeddingLimit ?? this.embeddingBatch.tokens;
  }

  embed(inputs: Int32Array[]): Float32Array[] {
    throwIf(this.faults.embed?.(inputs));
    const rows = inputs.reduce((sum, input) => sum + input.length, 0);
    assert(inputs.length > 0 && inputs.length <= this.embeddingBatch.inputs, `a batch of ${inputs.length} inputs`);
    assert(rows <= this.embeddingBatch.tokens, `a batch of ${rows} tokens`);
    return inputs.map((tokens) => embedFakeTokens(tokens, this.info.pooling));
  }

  /** Counts an object until it is disposed of, which happens once. */
  #count(kind: Kind): Counted {
    let alive = true;
    this.#live[kind]++;
    return {
      assertAlive: () => assert(alive, `a ${kind} was used after dispose`),
      dispose: () => {
        assert(alive, `a ${kind} was disposed of twice`);
        alive = false;
        this.#live[kind]--;
      },
    };
  }

  [Symbol.dispose](): void {}
}

function throwIf(message: string | null | undefined): void {
  if (message !== null && message !== undefined) throw new Error(message);
}
