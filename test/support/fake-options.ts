// How a fake backend is to be: its sizes, and what goes wrong.

import type { BatchPart, DecodeResult, TextSource } from "../../src/engine/backend.ts";
import type { Prompt, SamplingParams } from "../../src/protocol/generation.ts";
import type { LoadedModelInfo, MemoryKind, Pooling } from "../../src/protocol/model-info.ts";
import { FAKE_VOCABULARY } from "./fake-vocabulary.ts";

export const DIMENSIONS = 8;

/** What goes wrong, as the test says. Each gives a message or null. */
export interface FakeFaults {
  prompt?: (prompt: Prompt) => string | null;
  text?: (source: TextSource) => string | null;
  sampler?: (params: SamplingParams) => string | null;
  parser?: () => string | null;
  parse?: (text: string) => string | null;
  /** The whole call fails. */
  sample?: () => string | null;
  /** One row fails. */
  pick?: (params: SamplingParams) => string | null;
  decode?: (parts: BatchPart[]) => string | Exclude<DecodeResult, "done"> | null;
  embed?: (inputs: Int32Array[]) => string | null;
  /** Writing a state's file. */
  write?: (path: string) => string | null;
}

export interface FakeOptions {
  contextLength?: number;
  sequenceContextLength?: number;
  parallel?: number;
  retainedMax?: number;
  memory?: MemoryKind;
  batchSize?: number;
  embeddingLimit?: number;
  canGenerate?: boolean;
  pooling?: Pooling;
  /** Whether the next token of a guess is a wrong one; absent: nothing is guessed. */
  guessFails?: () => boolean;
  /** There is a drafter, with so many slots. */
  draftSlots?: number;
  /** It guesses from rows of steps, as a model's own prediction layers do. */
  draftsFromRows?: boolean;
  /** Its next token is a wrong one; null: it is not sure enough of any. */
  draftFails?: () => boolean | null;
  /** Polls that find a task still running. */
  taskPolls?: () => number;
}

export const FAKE_INFO: LoadedModelInfo = {
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
  retainedMax: 0,
  batchSize: 0,
  memory: "plain",
  pooling: "mean",
  canGenerate: true,
  hasChatTemplate: true,
  argumentFormat: "json",
  devices: ["FAKE"],
  cpuBackend: "libggml-cpu-fake.so",
  threads: 1,
  draft: null,
  loadMs: 0,
  rssAnonBytes: null,
  memoryNeed: null,
};

export function describeFake(options: FakeOptions): LoadedModelInfo {
  const contextLength = options.contextLength ?? 256;
  return {
    ...FAKE_INFO,
    contextLength,
    sequenceContextLength: options.sequenceContextLength ?? contextLength,
    parallel: options.parallel ?? 4,
    retainedMax: options.retainedMax ?? 0,
    memory: options.memory ?? "plain",
    batchSize: options.batchSize ?? 32,
    canGenerate: options.canGenerate ?? true,
    pooling: options.pooling ?? "mean",
  };
}
