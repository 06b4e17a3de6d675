// Says where a prompt's KV came from, and what the cache holds, in words for people. It reads, and changes nothing.

import type { CacheReport } from "../protocol/generation.ts";
import type { CacheEntry, EngineStats } from "../protocol/model-info.ts";
import type { Backend } from "./backend.ts";
import type { Held } from "./disk/kv-chains.ts";
import type { KvStore } from "./disk/kv-store.ts";
import type { PrefixCache } from "./prefix/prefix-cache.ts";
import type { Roster } from "./roster.ts";
import type { Sequence } from "./sequence.ts";
import type { Stepper } from "./stepper.ts";

/** Tokens of text that an entry is shown by. */
const PREVIEW_TOKENS = 24;

export function explainCache(sequence: Sequence, backend: Backend): CacheReport {
  const { diverged, reused } = sequence;
  if (diverged === null) return { ...reused };
  const { at, old } = diverged;
  const now = sequence.tokens.subarray(at, at + old.length);
  return { ...reused, diverged: { token: at, old: toText(old, backend), new: toText(now, backend) } };
}

export function describeCache(
  cache: PrefixCache,
  backend: Backend,
  store: KvStore | null,
  nowMs: number,
): CacheEntry[] {
  const live = [...cache.live].map((sequence): CacheEntry => {
    return { ...describe(sequence, backend), state: "live", session: sequence.session, idleMs: 0 };
  });
  const held = [...cache.kept, ...cache.checkpoints].map((one): CacheEntry => {
    const { tokens, session, usedMs } = one;
    const durableTokens = store?.durableTokens(one) ?? 0;
    const isDurable = store !== null && durableTokens > 0 && durableTokens > tokens.length - store.sliceTokens;
    const state = isDurable ? "disk" : "retained";
    return { ...describe(one, backend), durableTokens, state, session, idleMs: nowMs - usedMs };
  });
  return [...live, ...held, ...(store?.describe(cache) ?? [])];
}

type MemoryStats = Pick<
  EngineStats,
  "limits" | "ledger" | "cells" | "handles" | "retained" | "checkpoints" | "kvStore"
>;

export function describeMemory(cache: PrefixCache, backend: Backend, store: KvStore | null): MemoryStats {
  const kept = [...cache.kept];
  return {
    limits: cache.limits.describe(),
    ledger: { total: cache.total, used: cache.used },
    cells: backend.cells(),
    handles: backend.liveHandles(),
    retained: { sequences: kept.length, tokens: kept.reduce((sum, { tokens }) => sum + tokens.length, 0) },
    checkpoints: describeCheckpoints(cache.checkpoints),
    kvStore: store?.stats ?? null,
  };
}

function describeCheckpoints({ size: count, bytes, bytesMax }: PrefixCache["checkpoints"]): EngineStats["checkpoints"] {
  return { count, bytes, bytesMax };
}

type WorkStats = Omit<EngineStats, keyof MemoryStats | "waiting" | "decodedTokens" | "reusedTokens">;

export function describeWork(roster: Roster, stepper: Stepper): WorkStats {
  const { steps, evaluatedTokens, draftedTokens, acceptedTokens, draftRates } = stepper;
  const paused = [...roster].filter((sequence) => sequence.paused).length;
  const running = roster.running;
  const rates = stepper.rates.measured;
  const times = { ...stepper.times.sums };
  return { running, paused, steps, evaluatedTokens, draftedTokens, acceptedTokens, rates, draftRates, times };
}

type Description = Pick<CacheEntry, "tokens" | "durableTokens" | "lora" | "preview">;

function describe({ tokens, set }: Held, backend: Backend): Description {
  const lora = [...set.scales.entries()].flatMap(([id, scale]) => (scale === 0 ? [] : [{ id, scale }]));
  const preview = toText(tokens.subarray(0, PREVIEW_TOKENS), backend);
  return { tokens: tokens.length, durableTokens: 0, lora, preview };
}

function toText(tokens: Int32Array, backend: Backend): string {
  const decoder = new TextDecoder();
  let text = "";
  for (const token of tokens) text += decoder.decode(backend.tokenBytes(token, true), { stream: true });
  return text + decoder.decode();
}
