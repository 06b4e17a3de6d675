// One generation inside the engine. It stores few facts; whether it waits, reads or decodes follows from them.

import { assert } from "../lib/assert.ts";
import type {
  CacheReport,
  FinishReason,
  GenerationEvent,
  GenerationRequest,
  Priority,
} from "../protocol/generation.ts";
import type { Answer } from "./answer/answer.ts";
import { limitShifted, planShift, SHIFTING_CONTEXT_MIN } from "./answer/context-shift.ts";
import type { Scores } from "./answer/scores.ts";
import type { BatchPart, PreparedPrompt, Sampler } from "./backend.ts";
import { Speculation } from "./guess/speculation.ts";
import type { AdapterSet } from "./schedule/adapter-sets.ts";
import { rankOf } from "./schedule/scheduler.ts";

/** Four are its own at most; the others are those that somebody waits for. */
const STOPS_MAX = 8;

const NO_TOKENS = new Int32Array(0);

export interface SequenceParts {
  prompt: PreparedPrompt;
  sampler: Sampler;
  answer: Answer;
  set: AdapterSet;
  /** Log probabilities, where they are wanted. */
  scores?: Scores | null;
  /** Text that comes before the answer. */
  echo?: string;
}

export class Sequence implements Disposable {
  readonly id: number;
  readonly arrival: number;
  readonly promptLength: number;
  readonly sampler: Sampler;
  readonly answer: Answer;
  /** The adapters that it runs with, from its first token to its last. */
  readonly set: AdapterSet;
  readonly scores: Scores | null;
  readonly echo: string;
  readonly receivedMs: number;
  readonly rankMs: number;
  readonly priority: Priority;
  readonly session: string | null;
  /** It may start from another one's prefix; its own may be kept when it ends. */
  readonly reuses: boolean;
  readonly keeps: boolean;
  /** Leading tokens that are system text and tools; 0 where that is not known. */
  preambleLength: number;
  /** Where the last messages of its prompt begin; empty where that is not known. */
  turns: readonly number[];
  /** It ran before, and had to give its place back. */
  hadToLeave = false;
  /** Its reader was told that it began. */
  announced = false;
  /** Where it left the nearest kept sequence, and how that one went on. */
  diverged: { at: number; old: Int32Array } | null = null;
  /** Null while it waits. */
  seqId: number | null = null;
  /** Tokens whose KV is in the cache. */
  computed = 0;
  paused = false;
  /** Tokens of the prompt that were told to be read; infinite: nobody wants to know. */
  progressTold: number;
  /** Places of the prompt at which its reading stops for a checkpoint, in order: see reading-stops.ts. */
  #stops: readonly number[] = [];
  /** Tokens that shifts of the context have dropped. */
  dropped = 0;
  /** Tokens guessed for this step: they are run after the ones that are missing, and belong to it once sampled. */
  draft: Int32Array = NO_TOKENS;
  /** How far it guesses from its own text. */
  readonly speculation = new Speculation();
  /** Whoever made the guess is told how right it was. */
  #guesser = this.speculation;
  startedMs: number | null = null;
  firstTokenMs: number | null = null;
  readonly #prompt: PreparedPrompt;
  readonly #reused = { live: 0, retained: 0, disk: 0 };
  readonly #contextLength: number;
  readonly #completionMax: number;
  /** Leading tokens that stay when the context shifts; null = it does not. */
  readonly #keepTokens: number | null;
  #tokens: Int32Array;
  #length: number;

  constructor(id: number, arrival: number, request: GenerationRequest, parts: SequenceParts, limits: Limits) {
    this.id = id;
    this.arrival = arrival;
    this.#prompt = parts.prompt;
    this.sampler = parts.sampler;
    this.answer = parts.answer;
    this.set = parts.set;
    this.scores = parts.scores ?? null;
    this.echo = parts.echo ?? "";
    this.#tokens = parts.prompt.tokens;
    this.#length = parts.prompt.tokens.length;
    this.promptLength = this.#length;
    const canShift = limits.contextLength >= SHIFTING_CONTEXT_MIN;
    const shifts = canShift && (request.contextShift ?? limits.shifts ?? false);
    this.#contextLength = limits.contextLength;
    this.#keepTokens = shifts ? (request.keepTokens ?? 0) : null;
    this.#completionMax = shifts
      ? limitShifted(request.maxTokens, limits.contextLength)
      : (request.maxTokens ?? Number.POSITIVE_INFINITY);
    this.receivedMs = limits.receivedMs;
    this.priority = request.priority ?? "interactive";
    this.rankMs = rankOf(limits.receivedMs, this.priority);
    this.session = request.session ?? null;
    // Rows that another one computed say nothing any more.
    this.reuses = (request.cache?.reuse ?? true) && !this.needsAllOutput;
    this.keeps = request.cache?.keep ?? true;
    this.preambleLength = parts.prompt.preambleLength;
    this.turns = parts.prompt.turns;
    this.progressTold = request.progress === true && request.whole !== true ? 0 : Number.POSITIVE_INFINITY;
  }

  /** All tokens so far, prompt and answer. A view: it is only good until the next token. */
  get tokens(): Int32Array {
    return this.#tokens.subarray(0, this.#length);
  }

  /** Where the prompt's KV came from, the first time that it was placed: what it had to give back later is its own. */
  get reused(): Readonly<Omit<CacheReport, "diverged">> {
    return this.#reused;
  }

  noteReuse(from: "live" | "retained" | "disk", tokens: number): void {
    if (!this.hadToLeave) this.#reused[from] += Math.min(tokens, this.promptLength);
  }

  get length(): number {
    return this.#length;
  }

  get missing(): number {
    return this.#length - this.computed;
  }

  /** Those of the missing ones that may be computed in one go. */
  get reachable(): number {
    return (this.#stops.find((at) => at > this.computed) ?? this.#length) - this.computed;
  }

  stopsAt(at: number): boolean {
    return this.#stops.includes(at);
  }

  get canStopOnceMore(): boolean {
    return this.#stops.length < STOPS_MAX;
  }

  addStops(more: readonly number[]): void {
    this.#stops = [...new Set([...this.#stops, ...more])].sort((a, b) => a - b);
  }

  /** It has been there, or begins anew. */
  dropStops(upTo = Number.POSITIVE_INFINITY): void {
    this.#stops = this.#stops.filter((at) => at > upTo);
  }

  /** Each of its rows must have output: the prompt's log probabilities are wanted. */
  get needsAllOutput(): boolean {
    return this.scores?.readsPrompt ?? false;
  }

  /** Tokens so far, those that shifts have dropped among them: it never falls. */
  get lengthInAll(): number {
    return this.#length + this.dropped;
  }

  get completionTokens(): number {
    return this.lengthInAll - this.promptLength;
  }

  /** Tokens at which the sequence ends with `length`, or its context shifts: prompt and output together. */
  get lengthMax(): number {
    return Math.min(this.#contextLength, this.#length + this.#completionMax - this.completionTokens);
  }

  /** Full, but it may go on without some of its tokens. */
  get canShift(): boolean {
    return this.#keepTokens !== null && this.completionTokens < this.#completionMax;
  }

  /** Drops the middle of its tokens; returns how many leading ones stay as they are. Their KV is its owner's business. */
  shift(): number {
    assert(this.#keepTokens !== null, "it may shift");
    const { head, dropped } = planShift(this.#length, this.#keepTokens, this.promptLength, this.#contextLength);
    this.#tokens.copyWithin(head, head + dropped, this.#length);
    this.#length -= dropped;
    this.dropped += dropped;
    this.preambleLength = Math.min(this.preambleLength, head);
    // They tell of tokens that may have gone.
    this.diverged = null;
    this.turns = [];
    this.dropStops();
    return head;
  }

  get isFull(): boolean {
    return this.#length >= this.lengthMax;
  }

  takeDraft(draft: Int32Array, guesser: Speculation): void {
    this.draft = draft;
    this.#guesser = guesser;
  }

  /** The guess is over: it was right for this many tokens. */
  endDraft(accepted: number): void {
    if (this.draft.length > 0) this.#guesser.note(this.draft.length, accepted);
    this.dropDraft();
  }

  /** It was never tried. */
  dropDraft(): void {
    this.draft = NO_TOKENS;
  }

  /** The next `count` tokens whose KV is missing. */
  next(count: number): Int32Array {
    return this.#tokens.subarray(this.computed, this.computed + count);
  }

  append(token: number): void {
    if (this.#length === this.#tokens.length) {
      const larger = new Int32Array(this.#length + Math.max(64, this.#length >> 1));
      larger.set(this.#tokens);
      this.#tokens = larger;
    }
    this.#tokens[this.#length++] = token;
  }

  [Symbol.dispose](): void {
    this.answer[Symbol.dispose]();
    this.sampler[Symbol.dispose]();
    this.#prompt[Symbol.dispose]();
  }
}

export interface Limits {
  /** Most tokens of one sequence. */
  contextLength: number;
  receivedMs: number;
  /** What the context of a request that does not say it does when it is full. Default: it does not shift. */
  shifts?: boolean;
}

/** The event that ends a sequence well. A stop string met at the very end counts as `stop`. */
export function doneEvent(
  sequence: Sequence,
  reason: FinishReason,
  cache: CacheReport,
  nowMs: number,
): GenerationEvent {
  const { stopString } = sequence.answer;
  const started = sequence.startedMs ?? nowMs;
  const first = sequence.firstTokenMs ?? nowMs;
  return {
    type: "done",
    finishReason: sequence.answer.finishReason(stopString === null ? reason : "stop"),
    usage: {
      promptTokens: sequence.promptLength,
      completionTokens: sequence.completionTokens,
      cachedTokens: cache.live + cache.retained + cache.disk,
      ...(sequence.dropped === 0 ? {} : { droppedTokens: sequence.dropped }),
    },
    cache,
    timings: { queuedMs: started - sequence.receivedMs, promptMs: first - started, decodeMs: nowMs - first },
    ...(stopString === null ? {} : { stopString }),
  };
}

/** The seq-id of a sequence that runs. */
export function seqIdOf(sequence: Sequence): number {
  assert(sequence.seqId !== null, `request ${sequence.id} has no seq-id`);
  return sequence.seqId;
}

/** Its next rows for a batch, its guess included; the last of them have output when nothing of it is missing then. */
export function toPart(sequence: Sequence, count: number): BatchPart {
  const { draft, computed: start } = sequence;
  const part = { seqId: seqIdOf(sequence), start, output: count === sequence.missing };
  if (sequence.needsAllOutput) return { ...part, tokens: sequence.next(count), output: true, drafted: count - 1 };
  if (draft.length === 0) return { ...part, tokens: sequence.next(count) };
  const tokens = new Int32Array(count + draft.length);
  tokens.set(sequence.next(count));
  tokens.set(draft, count);
  return { ...part, tokens, drafted: draft.length };
}
