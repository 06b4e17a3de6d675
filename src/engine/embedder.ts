// Embedding requests, and rankings, which are embeddings of one number: inputs are tokenised beside the engine's thread,
// checked, and run in batches, one batch a step, so that running streams go on between them.

import { AppError, toAppError } from "../protocol/errors.ts";
import type { EmbeddingInput, RankInput } from "../protocol/generation.ts";
import type { LoadedModelInfo } from "../protocol/model-info.ts";
import { AbandonedTasks } from "./abandoned-tasks.ts";
import type { Backend, PreparedPrompt, Task } from "./backend.ts";
import type { Send } from "./outbox.ts";

interface Entry {
  id: number;
  inputs: EmbeddingInput[];
  task: Task<PreparedPrompt> | null;
  /** Tokens of the inputs that are ready: [inputs][tokens]. */
  tokens: Int32Array[];
  /** Vectors so far, each `dimensions` long. */
  vectors: Float32Array[];
}

export class Embedder implements Disposable {
  readonly #backend: Backend;
  readonly #send: Send;
  readonly #entries: Entry[] = [];
  readonly #abandoned = new AbandonedTasks();

  constructor(backend: Backend, send: Send) {
    this.#backend = backend;
    this.#send = send;
  }

  /** A batch can run now, or a tokenisation be looked at. */
  get isReady(): boolean {
    const first = this.#entries[0];
    if (first === undefined) return false;
    return first.task === null || first.task.poll().kind !== "running";
  }

  add(id: number, inputs: EmbeddingInput[]): void {
    this.#entries.push({ id, inputs, task: null, tokens: [], vectors: [] });
  }

  cancel(id: number): boolean {
    const entry = this.#entries.find((candidate) => candidate.id === id);
    if (entry === undefined) return false;
    this.#abandoned.add(entry.task);
    entry.task = null;
    this.#remove(entry);
    return true;
  }

  /** Tokenises what it can, or runs one batch. */
  step(): void {
    this.#abandoned.sweep();
    const entry = this.#entries[0];
    if (entry === undefined) return;
    try {
      if (!this.#tokenize(entry)) return;
      this.#runBatch(entry);
      if (entry.vectors.length === entry.inputs.length) this.#answer(entry);
    } catch (thrown) {
      this.#remove(entry);
      this.#send({ type: "refused", id: entry.id, error: toAppError(thrown).toBody() });
    }
  }

  /** True when all inputs are tokens and short enough. All are checked before the first one runs. */
  #tokenize(entry: Entry): boolean {
    while (entry.tokens.length < entry.inputs.length) {
      const index = entry.tokens.length;
      const input = entry.inputs[index];
      if (input === undefined) return true;
      checkTask(input, this.#backend.info);
      entry.task ??= this.#backend.prepareEmbedding(input);
      const state = entry.task.poll();
      if (state.kind === "running") return false;
      if (state.kind === "failed") {
        throw new AppError({ code: "invalid_request", message: state.error.message, param: nameInput(input, index) });
      }
      using prompt = entry.task.take();
      entry.tokens.push(prompt.tokens);
      entry.task[Symbol.dispose]();
      entry.task = null;
      checkInput(prompt.tokens.length, this.#backend.embeddingLimit(), nameInput(input, index));
    }
    return true;
  }

  #runBatch(entry: Entry): void {
    const { inputs, tokens } = this.#backend.embeddingBatch;
    const batch: Int32Array[] = [];
    let rows = 0;
    for (const input of entry.tokens.slice(entry.vectors.length)) {
      if (batch.length === inputs || rows + input.length > tokens) break;
      batch.push(input);
      rows += input.length;
    }
    entry.vectors.push(...this.#backend.embed(batch));
  }

  #answer(entry: Entry): void {
    const dimensions = entry.vectors[0]?.length ?? 0;
    const payload = new Float32Array(dimensions * entry.vectors.length);
    for (const [i, vector] of entry.vectors.entries()) payload.set(vector, i * dimensions);
    const promptTokens = entry.tokens.reduce((sum, input) => sum + input.length, 0);
    this.#remove(entry);
    this.#send(
      { type: "embeddings", id: entry.id, count: entry.vectors.length, dimensions, promptTokens },
      new Uint8Array(payload.buffer),
    );
  }

  #remove(entry: Entry): void {
    entry.task?.[Symbol.dispose]();
    const at = this.#entries.indexOf(entry);
    // An answer that can't be sent is refused after it was removed.
    if (at >= 0) this.#entries.splice(at, 1);
  }

  [Symbol.dispose](): void {
    this.#abandoned[Symbol.dispose]();
    for (const entry of this.#entries.splice(0)) entry.task?.[Symbol.dispose]();
  }
}

/** A reranker's scores are no vectors, and nobody else has scores. */
function checkTask(input: EmbeddingInput, { pooling, description }: LoadedModelInfo): void {
  const isRank = isPair(input);
  if (pooling !== "none" && isRank === (pooling === "rank")) return;
  const body = { code: "not_supported", param: "model" } as const;
  if (isRank) {
    const message = `${description} does not rank: its pooling is ${pooling}, and a reranker's is rank.`;
    throw new AppError({ ...body, message, hint: "Use a reranker, such as bge-reranker-v2-m3." });
  }
  if (pooling === "rank") throw new AppError({ ...body, message: `${description} ranks.`, hint: "Use /v1/rerank." });
  const message = "With pooling none there is a vector for each token, and none for an input.";
  throw new AppError({ ...body, message, hint: "Choose another --pooling." });
}

function isPair(input: EmbeddingInput): input is RankInput {
  return typeof input === "object" && !Array.isArray(input);
}

/** As the request calls it. */
function nameInput(input: EmbeddingInput, index: number): string {
  return `${isPair(input) ? "documents" : "input"}[${index}]`;
}

/** llama.cpp aborts the process on an input that is longer than its batch: it never gets there. */
function checkInput(tokens: number, limit: number, param: string): void {
  if (tokens === 0) throw new AppError({ code: "invalid_request", message: `${param} is empty.`, param });
  if (tokens <= limit) return;
  throw new AppError({
    code: "context_length_exceeded",
    message: `${param} has ${tokens} tokens and an input of this model holds at most ${limit}.`,
    hint: "Split the text, or raise --ubatch-size where the model's own context allows it.",
    param,
  });
}
