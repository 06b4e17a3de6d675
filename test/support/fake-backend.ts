// A Backend without a model, for tests. The next token hangs on every cell of the sequence that the row may see, token
// and position alike, so that a wrong position, a wrong seq-id or a lost cell changes the output. It counts its
// cells and its live objects, and fails where a test says so.

import type {
  AnswerParser,
  Backend,
  BatchPart,
  DecodeResult,
  OutputRow,
  PreparedPrompt,
  Sampled,
  Sampler,
  SavedState,
  Task,
} from "../../src/engine/backend.ts";
import { assert } from "../../src/lib/assert.ts";
import type { EmbeddingInput, Prompt, SamplingParams } from "../../src/protocol/generation.ts";
import type { LoadedModelInfo } from "../../src/protocol/model-info.ts";
import { DIMENSIONS, FAKE_INFO, type FakeFaults, type FakeOptions } from "./fake-options.ts";
import { FakeSampler, mix, pickGreedily } from "./fake-sampler.ts";
import { type Counted, FakeState, readFakeState } from "./fake-state.ts";
import { END, FAKE_VOCABULARY, fakeTokenBytes, fakeTokens, PRESERVED } from "./fake-vocabulary.ts";

interface Cell {
  /** Sequences that share it. */
  seqIds: Set<number>;
  position: number;
  token: number;
}

const KINDS = ["job", "prompt", "sampler", "parser", "state"] as const;
type Kind = (typeof KINDS)[number];

const SEEN_NOTHING = 0x9e3779b9;

export class FakeBackend implements Backend {
  readonly info: LoadedModelInfo;
  readonly stateLayout = "fake";
  readonly outputsMax = 32;
  readonly embeddingBatch = { inputs: 4, tokens: 64 };
  faults: FakeFaults = {};
  decodeCalls = 0;
  readonly #options: FakeOptions;
  readonly #live: Record<Kind, number> = { job: 0, prompt: 0, sampler: 0, parser: 0, state: 0 };
  #cells: Cell[] = [];
  /** What the last decode's rows with output saw. */
  #outputs: number[][] = [];

  constructor(options: FakeOptions = {}) {
    this.#options = options;
    const contextLength = options.contextLength ?? 256;
    this.info = {
      ...FAKE_INFO,
      contextLength,
      sequenceContextLength: options.sequenceContextLength ?? contextLength,
      parallel: options.parallel ?? 4,
      retainedMax: options.retainedMax ?? 0,
      memory: options.memory ?? "plain",
      batchSize: options.batchSize ?? 32,
      canGenerate: options.canGenerate ?? true,
    };
  }

  preparePrompt(prompt: Prompt): Task<PreparedPrompt> {
    const fault = this.faults.prompt?.(prompt) ?? null;
    if (prompt.kind === "tokens") return this.#task(checkTokens(prompt.tokens), fault, false);
    const isChat = prompt.kind === "chat";
    const text = isChat ? prompt.messages.map((message) => String(message.content)).join(" ") : prompt.text;
    return this.#task(fakeTokens(text), fault, isChat);
  }

  prepareEmbedding(input: EmbeddingInput): Task<PreparedPrompt> {
    return this.#task(typeof input === "string" ? fakeTokens(input) : checkTokens(input), null, false);
  }

  #task(tokens: Int32Array | string, fault: string | null, needsParser: boolean): Task<PreparedPrompt> {
    let polls = this.#options.taskPolls?.() ?? 0;
    let taken = false;
    const failure = typeof tokens === "string" ? tokens : fault;
    const counted = this.#count("job");
    return {
      poll: () => {
        counted.assertAlive();
        if (polls-- > 0) return { kind: "running" };
        return failure === null ? { kind: "done" } : { kind: "failed", error: new Error(failure) };
      },
      take: () => {
        assert(!taken && polls < 0 && typeof tokens !== "string", "a task is taken once, when it is done");
        taken = true;
        const prompt = this.#count("prompt");
        const preserved = new Set(needsParser ? [PRESERVED] : []);
        const stops = needsParser ? ["zzz"] : [];
        return { tokens, stops, preserved, needsParser, preambleLength: 0, [Symbol.dispose]: prompt.dispose };
      },
      [Symbol.dispose]: counted.dispose,
    };
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

  decode(parts: BatchPart[]): DecodeResult {
    this.decodeCalls++;
    const rows = parts.reduce((sum, part) => sum + part.tokens.length, 0);
    assert(rows > 0 && rows <= this.info.batchSize, `a batch of ${rows} rows`);
    this.#outputs = [];
    const fault = this.faults.decode?.(parts) ?? null;
    if (fault === "full" || fault === "aborted") return fault;
    throwIf(fault);
    if (this.#cells.length + rows > this.info.contextLength) return "full";
    for (const part of parts) {
      const { parallel, retainedMax } = this.info;
      assert(part.seqId >= 0 && part.seqId < parallel + retainedMax, `seq-id ${part.seqId} is out of range`);
      assert(part.start === this.#of(part.seqId).length, `sequence ${part.seqId} goes on at ${part.start}`);
      for (const [i, token] of part.tokens.entries()) {
        this.#cells.push({ seqIds: new Set([part.seqId]), position: part.start + i, token });
      }
      if (!part.output) continue;
      const end = part.start + part.tokens.length;
      const first = end - 1 - (part.drafted ?? 0);
      this.#outputs.push(Array.from({ length: end - first }, (_, i) => this.#see(part.seqId, first + i)));
    }
    return "done";
  }

  /** A hash of all that a row attends to. */
  #see(seqId: number, position: number): number {
    const visible = this.#of(seqId).filter((cell) => cell.position <= position);
    visible.sort((a, b) => a.position - b.position || a.token - b.token);
    return visible.reduce((hash, cell) => mix(mix(hash, cell.position), cell.token), SEEN_NOTHING);
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

  draft(tokens: Int32Array, max: number): Int32Array {
    const { guessFails } = this.#options;
    if (guessFails === undefined) return new Int32Array(0);
    const all = [...tokens];
    for (let i = 0; i < max; i++) {
      const seen = all.reduce((hash, token, position) => mix(mix(hash, position), token), SEEN_NOTHING);
      all.push(guessFails() ? PRESERVED : pickGreedily(seen));
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
    this.#cut(seqId, 0);
  }

  truncateSequence(seqId: number, length: number): void {
    const { memory } = this.info;
    assert(memory === "plain" || memory === "sliding", "only plain memory can be cut, and the last rows of windows");
    this.#cut(seqId, length);
  }

  copySequence(from: number, to: number, length: number): void {
    assert(this.#of(to).length === 0, `sequence ${to} holds cells`);
    const shared = this.#of(from).filter((cell) => cell.position < length);
    assert(shared.length === length, `sequence ${from} does not hold ${length} cells`);
    for (const cell of shared) cell.seqIds.add(to);
  }

  covers(seqId: number, length: number): boolean {
    const held = this.#of(seqId).length;
    return this.info.memory === "plain" || this.info.memory === "sliding" ? length <= held : length === held;
  }

  #of(seqId: number): Cell[] {
    return this.#cells.filter((cell) => cell.seqIds.has(seqId));
  }

  #cut(seqId: number, length: number): void {
    for (const cell of this.#of(seqId)) if (cell.position >= length) cell.seqIds.delete(seqId);
    this.#cells = this.#cells.filter((cell) => cell.seqIds.size > 0);
  }

  copySlice(seqId: number, start: number, end: number): SavedState {
    const cells = this.#of(seqId).filter(({ position }) => position >= start && position < end);
    assert(cells.length === end - start, `sequence ${seqId} does not hold cells ${start} to ${end}`);
    return new FakeState(
      cells.map(({ position, token }) => [position, token]),
      "",
      this.#count("state"),
    );
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
        return new FakeState(read.cells, read.text, this.#count("state"));
      },
      [Symbol.dispose]: counted.dispose,
    };
  }

  applySlice(state: SavedState, seqId: number, start: number, end: number): void {
    assert(state instanceof FakeState, "a state goes back to the backend that made it");
    assert(this.#of(seqId).length === start, `sequence ${seqId} ends at ${start}`);
    if (state.cells.some(([position], i) => position !== start + i)) throw new Error("other positions");
    if (state.cells.length !== end - start) throw new Error("too few cells");
    for (const [position, token] of state.cells) this.#cells.push({ seqIds: new Set([seqId]), position, token });
    assert(this.#cells.length <= this.info.contextLength, "the cells were there");
  }

  cells(): { size: number; used: number }[] {
    return [{ size: this.info.contextLength, used: this.#cells.length }];
  }

  liveHandles(): Record<string, number> {
    return { ...this.#live };
  }

  embeddingLimit(): number {
    return this.#options.embeddingLimit ?? this.embeddingBatch.tokens;
  }

  embed(inputs: Int32Array[]): Float32Array[] {
    throwIf(this.faults.embed?.(inputs));
    const rows = inputs.reduce((sum, input) => sum + input.length, 0);
    assert(inputs.length > 0 && inputs.length <= this.embeddingBatch.inputs, `a batch of ${inputs.length} inputs`);
    assert(rows <= this.embeddingBatch.tokens, `a batch of ${rows} tokens`);
    return inputs.map((tokens) => {
      const seed = tokens.reduce((hash, token) => mix(hash, token), 1);
      const raw = Float32Array.from({ length: DIMENSIONS }, (_, i) => (mix(seed, i) % 2001) - 1000);
      const norm = Math.hypot(...raw);
      return raw.map((value) => value / norm);
    });
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

  [Symbol.dispose](): void {
    this.#cells = [];
  }
}

function checkTokens(tokens: readonly number[]): Int32Array | string {
  const bad = tokens.find((token) => token < 0 || token >= FAKE_VOCABULARY);
  return bad === undefined ? Int32Array.from(tokens) : `token ${bad} is not in the vocabulary of ${FAKE_VOCABULARY}`;
}

function throwIf(message: string | null | undefined): void {
  if (message !== null && message !== undefined) throw new Error(message);
}
