// A Backend without a model, for tests. The next token hangs on every cell of the sequence that the row may see, token
// and position alike, so that a wrong position, a wrong seq-id or a lost cell changes the output. It counts its
// cells and its live objects, and fails where a test says so.

import type {
  AnswerParser,
  Backend,
  BatchPart,
  DecodeResult,
  PreparedPrompt,
  Sampled,
  Sampler,
  Task,
} from "../../src/engine/backend.ts";
import { assert } from "../../src/lib/assert.ts";
import type { EmbeddingInput, Prompt, SamplingParams } from "../../src/protocol/generation.ts";
import type { LoadedModelInfo } from "../../src/protocol/model-info.ts";
import { END, FAKE_VOCABULARY, fakeTokenBytes, fakeTokens, PRESERVED, READABLE_TOKENS } from "./fake-vocabulary.ts";

/** What goes wrong, as the test says. Each gives a message or null. */
export interface FakeFaults {
  prompt?: (prompt: Prompt) => string | null;
  sampler?: (params: SamplingParams) => string | null;
  parser?: () => string | null;
  parse?: (text: string) => string | null;
  /** The whole call fails. */
  sample?: () => string | null;
  /** One row fails. */
  pick?: (params: SamplingParams) => string | null;
  decode?: (parts: BatchPart[]) => string | Exclude<DecodeResult, "done"> | null;
  embed?: (inputs: Int32Array[]) => string | null;
}

export interface FakeOptions {
  contextLength?: number;
  sequenceContextLength?: number;
  parallel?: number;
  batchSize?: number;
  embeddingLimit?: number;
  canGenerate?: boolean;
  /** Polls that find a task still running. */
  taskPolls?: () => number;
}

interface Cell {
  seqId: number;
  position: number;
  token: number;
}

const KINDS = ["job", "prompt", "sampler", "parser"] as const;
type Kind = (typeof KINDS)[number];

const DIMENSIONS = 8;
/** One sampled token in this many ends the answer. */
const END_ODDS = 24;

export class FakeBackend implements Backend {
  readonly info: LoadedModelInfo;
  readonly embeddingBatch = { inputs: 4, tokens: 64 };
  faults: FakeFaults = {};
  decodeCalls = 0;
  readonly #options: FakeOptions;
  readonly #live: Record<Kind, number> = { job: 0, prompt: 0, sampler: 0, parser: 0 };
  #cells: Cell[] = [];
  /** What the last decode's rows with output saw. */
  #outputs: number[] = [];

  constructor(options: FakeOptions = {}) {
    this.#options = options;
    const contextLength = options.contextLength ?? 256;
    this.info = {
      ...FAKE_INFO,
      contextLength,
      sequenceContextLength: options.sequenceContextLength ?? contextLength,
      parallel: options.parallel ?? 4,
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
        return { tokens, stops: needsParser ? ["zzz"] : [], preserved, needsParser, [Symbol.dispose]: prompt.dispose };
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
      assert(part.seqId >= 0 && part.seqId < this.info.parallel, `seq-id ${part.seqId} is out of range`);
      for (const [i, token] of part.tokens.entries()) {
        this.#cells.push({ seqId: part.seqId, position: part.start + i, token });
      }
      if (part.output) this.#outputs.push(this.#see(part.seqId, part.start + part.tokens.length - 1));
    }
    return "done";
  }

  /** A hash of all that a row attends to. */
  #see(seqId: number, position: number): number {
    const visible = this.#cells.filter((cell) => cell.seqId === seqId && cell.position <= position);
    visible.sort((a, b) => a.position - b.position || a.token - b.token);
    return visible.reduce((hash, cell) => mix(mix(hash, cell.position), cell.token), 0x9e3779b9);
  }

  sample(samplers: Sampler[]): Sampled[] {
    throwIf(this.faults.sample?.());
    assert(samplers.length === this.#outputs.length, "one sampler for each row with output");
    return samplers.map((sampler, i) => {
      assert(sampler instanceof FakeSampler, "a sampler goes back to the backend that made it");
      const fault = this.faults.pick?.(sampler.params) ?? null;
      if (fault !== null) return { kind: "failed", error: new Error(fault) };
      return { kind: "token", token: sampler.pick(this.#outputs[i] ?? 0) };
    });
  }

  tokenBytes(token: number, special: boolean): Uint8Array {
    return fakeTokenBytes(token, special);
  }

  isEnd(token: number): boolean {
    return token === END;
  }

  removeSequence(seqId: number): void {
    this.#cells = this.#cells.filter((cell) => cell.seqId !== seqId);
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

interface Counted {
  assertAlive(): void;
  dispose(): void;
}

class FakeSampler implements Sampler {
  readonly kind = "sampler";
  readonly params: SamplingParams;
  readonly #counted: Counted;
  /** Grows with every pick: a pick that is lost or made twice changes what follows. */
  #picks = 0;

  constructor(params: SamplingParams, counted: Counted) {
    this.params = params;
    this.#counted = counted;
  }

  pick(seen: number): number {
    this.#counted.assertAlive();
    const isGreedy = this.params.temperature === 0;
    const hash = isGreedy ? seen : mix(mix(seen, this.params.seed ?? 0), this.#picks++);
    if (this.params.ignoreEos !== true && hash % END_ODDS === 0) return END;
    return READABLE_TOKENS[mix(hash, 77) % READABLE_TOKENS.length] ?? END;
  }

  [Symbol.dispose](): void {
    this.#counted.dispose();
  }
}

function checkTokens(tokens: readonly number[]): Int32Array | string {
  const bad = tokens.find((token) => token < 0 || token >= FAKE_VOCABULARY);
  return bad === undefined ? Int32Array.from(tokens) : `token ${bad} is not in the vocabulary of ${FAKE_VOCABULARY}`;
}

function throwIf(message: string | null | undefined): void {
  if (message !== null && message !== undefined) throw new Error(message);
}

/** A small hash of two numbers, 32 bits. */
function mix(hash: number, value: number): number {
  let mixed = Math.imul(hash ^ (value + 0x7f4a7c15), 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

const FAKE_INFO: LoadedModelInfo = {
  architecture: "fake",
  description: "fake 1K F32",
  parameterCount: 1000,
  sizeBytes: 4000,
  vocabularySize: FAKE_VOCABULARY,
  embeddingLength: DIMENSIONS,
  trainedContextLength: 4096,
  contextLength: 0,
  sequenceContextLength: 0,
  parallel: 0,
  batchSize: 0,
  pooling: "mean",
  canGenerate: true,
  hasChatTemplate: true,
  devices: ["FAKE"],
  cpuBackend: "libggml-cpu-fake.so",
  threads: 1,
  loadMs: 0,
  rssAnonBytes: null,
};
