// Settings and a model's facts → the contexts to make. Pure.

import type { ContextSettings } from "../../ffi/context.ts";
import type { ModelFacts } from "../../ffi/model.ts";
import { limitRetained, sizeDraft, sizeEmbedding, sizeGeneration } from "../../protocol/context-sizes.ts";
import { AppError } from "../../protocol/errors.ts";
import type { KvType } from "../../protocol/memory-need.ts";
import type { EngineSettings } from "../../protocol/messages.ts";
import { automaticContextLength, type Pooling, readTrainedLength } from "../../protocol/model-info.ts";

export interface ContextPlan {
  main: ContextSettings;
  /** Made on the first embedding; the same as `main` for a model that only embeds. */
  embedding: ContextSettings;
  /** Longest embedding input, in tokens. */
  embeddingLimit: number;
  canGenerate: boolean;
  /** Sequences that may run at once. */
  parallel: number;
  /** Ended sequences whose KV can be kept in memory. */
  retainedMax: number;
  pooling: Pooling;
}

const POOLINGS: readonly Pooling[] = ["none", "mean", "cls", "last", "rank"];
const LAST = 3;
const MEAN = 1;
const RANK = 4;

/** More rows in a step make each row cheaper, up to about this many; cells are shared, so a place costs nothing. */
const PARALLEL = 64;
/** Here each place costs a state. */
const PARALLEL_RECURRENT = 4;
/** Under this, a second thread costs more in waiting than it saves in arithmetic. */
const SINGLE_THREAD_BYTES = 16 * 1024 * 1024;

export function planContexts(settings: EngineSettings, facts: ModelFacts, cores: number): ContextPlan {
  const trained = readTrainedLength(facts.trainedContextLength);
  const contextLength = settings.contextLength > 0 ? settings.contextLength : automaticContextLength(trained);
  const threads = chooseThreads(settings, facts, cores);
  const embeds = !facts.causal || !facts.hasDecoder || facts.pooling > 0;
  const parallel = settings.parallel > 0 ? settings.parallel : facts.isRecurrent ? PARALLEL_RECURRENT : PARALLEL;
  const retainedMax = limitRetained({ ...settings, parallel }, facts.isRecurrent);
  const pooling = choosePooling(settings, facts, embeds);
  const kept = keepAs(chooseKvType(settings, facts));
  const splits = facts.causal && facts.hasDecoder && pooling === LAST;
  const embedding: ContextSettings = {
    ...sizeEmbedding(settings.microBatchSize, trained, { splits, keepsStates: facts.isRecurrent }),
    threads,
    embeddings: true,
    pooling,
    ...kept,
  };
  const generation: ContextSettings = {
    ...sizeGeneration({ ...settings, contextLength, parallel, retainedMax }),
    threads,
    embeddings: false,
    pooling: -1,
    ...kept,
  };
  return {
    main: embeds ? embedding : generation,
    embedding,
    embeddingLimit: embedding.batchSize,
    canGenerate: !embeds,
    parallel: embeds ? embedding.sequences : parallel,
    retainedMax: embeds ? 0 : retainedMax,
    pooling: POOLINGS[embedding.pooling] ?? "none",
  };
}

/** The context of a smaller model that guesses for sequences of the main one. */
export function planDraftContext(
  settings: EngineSettings,
  { main, parallel }: ContextPlan,
  facts: ModelFacts,
  cores: number,
): ContextSettings {
  const threads = chooseThreads(settings, facts, cores);
  return { ...main, ...sizeDraft(main, parallel), ...keepAs(chooseKvType(settings, facts)), threads };
}

/** llama.cpp's fused attention rounds what comes as F32 to F16: whoever asks for F32 wants what it is for. */
function keepAs(kvType: KvType): Pick<ContextSettings, "kvType" | "flashAttention"> {
  return kvType === "f32" ? { kvType, flashAttention: false } : { kvType };
}

function chooseThreads({ threads }: EngineSettings, { sizeBytes }: ModelFacts, cores: number): number {
  if (threads > 0) return threads;
  return sizeBytes < SINGLE_THREAD_BYTES ? 1 : cores;
}

/** What is asked for, or the model's own; without one, the last token of a decoder and the mean of an encoder. */
function choosePooling(settings: EngineSettings, facts: ModelFacts, embeds: boolean): number {
  const said = settings.pooling === undefined ? -1 : POOLINGS.indexOf(settings.pooling);
  // It is said to all models of a server, and is for its rerankers: the others chat, and a ranking refuses them.
  const asked = said === RANK && !embeds && !facts.hasRankHead ? -1 : said;
  const pooling = asked < 0 ? facts.pooling : asked;
  // llama.cpp would give numbers of the last layer instead of scores.
  if (pooling === RANK && !facts.hasRankHead) throw cannotRank(facts.description, asked >= 0);
  if (asked >= 0 || pooling > 0) return pooling;
  return facts.causal ? LAST : MEAN;
}

/** Values per block of the quantised ones (ggml): a head's keys must be whole blocks. */
const KV_BLOCK = 32;
const PLAIN_KV_TYPES: readonly KvType[] = ["f32", "f16", "bf16"];

/** What is asked for, or a refusal: llama.cpp's own says only that it makes no context. */
function chooseKvType({ kvType = "f16" }: EngineSettings, facts: ModelFacts): KvType {
  // An encoder keeps nothing, and llama.cpp would check it all the same; but attention may round what it computes.
  if (!facts.causal || !facts.hasDecoder) return kvType === "f32" ? kvType : "f16";
  if (PLAIN_KV_TYPES.includes(kvType)) return kvType;
  const lengths = [...facts.keyLengths, ...facts.valueLengths];
  const odd = lengths.find((length) => length % KV_BLOCK !== 0);
  const problem = !facts.canFuseAttention
    ? "quantised values need flash attention, which this architecture can't have"
    : `its heads are ${odd} numbers long, and ${kvType} has blocks of ${KV_BLOCK}`;
  if (facts.canFuseAttention && odd === undefined) return kvType;
  const message = `${facts.description} can't keep keys and values as ${kvType}: ${problem}`;
  throw new AppError({ code: "not_supported", message, hint: "Use --kv-type f16." });
}

function cannotRank(description: string, asked: boolean): AppError {
  const message = `${description} has no head to rank with`;
  if (asked)
    return new AppError({ code: "not_supported", message, hint: "Leave out --pooling rank, or serve a reranker." });
  return new AppError({ code: "model_damaged", message: `${message}, although its pooling is rank` });
}
