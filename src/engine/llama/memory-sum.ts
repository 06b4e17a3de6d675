// The memory of an engine as one sum: its contexts by place and purpose, and what else the process has. Pure.

import type { ContextMemory, PlaceMemory } from "../../ffi/context.ts";
import { addParts, type MemoryNeed, type MemoryParts, noParts } from "../../protocol/memory-need.ts";

export interface CountedContext {
  memory: ContextMemory;
  /** Several contexts may be of one model, whose weights are there once. */
  countsWeights: boolean;
}

/** `processBytes`: vocabulary, graphs, the runtime: all that no context counts. */
export function sumNeed(contexts: readonly CountedContext[], processBytes: number): MemoryNeed {
  const devices = Math.max(0, ...contexts.map(({ memory }) => memory.devices.length));
  const host = contexts.map((context) => ({
    ...toParts(context.memory.host, context.countsWeights),
    computeBytes: context.memory.host.computeBytes + context.memory.workBytes,
    overheadBytes: context.memory.outputBytes,
  }));
  return {
    host: sumParts([...host, { ...noParts(), overheadBytes: processBytes }]),
    devices: Array.from({ length: devices }, (_, device) =>
      sumParts(
        contexts.flatMap(({ memory, countsWeights }) => {
          const place = memory.devices[device];
          return place === undefined ? [] : [toParts(place, countsWeights)];
        }),
      ),
    ),
  };
}

/** What of a process's own memory no context counts, after contexts of weights that are only laid out were made. */
export function restOfLaidOut(rssAnonBytes: number, contexts: readonly ContextMemory[]): number {
  // A layout takes nothing but its rows of output.
  return Math.max(0, rssAnonBytes - sum(contexts.map((memory) => memory.reservedOutputBytes)));
}

/** The same after a real load: weights and cleared caches are there, compute buffers are touched by steps. */
export function restOfLoaded(rssAnonBytes: number, contexts: readonly CountedContext[]): number {
  const counted = contexts.map(({ memory: { host, reservedOutputBytes }, countsWeights }) => {
    return (countsWeights ? host.weightsBytes : 0) + host.kvBytes + reservedOutputBytes;
  });
  return Math.max(0, rssAnonBytes - sum(counted));
}

function toParts(
  { weightsBytes, mappedBytes, kvBytes, computeBytes }: PlaceMemory,
  countsWeights: boolean,
): MemoryParts {
  const weights = countsWeights ? { weightsBytes, mappedBytes } : {};
  return { ...noParts(), ...weights, kvBytes, computeBytes };
}

function sumParts(all: readonly MemoryParts[]): MemoryParts {
  return all.reduce(addParts, noParts());
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
