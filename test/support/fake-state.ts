// The fake backend's copies of cells: JSON in memory and in files.

import { readFileSync, writeFileSync } from "node:fs";
import type { SavedState, Task } from "../../src/engine/backend.ts";
import { assert } from "../../src/lib/assert.ts";
import type { FakeEnd, FakeSlice } from "./fake-memory.ts";

/** An object of the fake that is counted until it is disposed of, once. */
export interface Counted {
  assertAlive(): void;
  dispose(): void;
}

export type FakeContent = FakeSlice | FakeEnd;

export class FakeState implements SavedState {
  constructor(
    readonly content: FakeContent,
    readonly text: string,
    readonly counted: Counted,
    readonly fault: ((path: string) => string | null) | undefined,
  ) {}

  get bytes(): number {
    return JSON.stringify(this.content).length;
  }

  write(path: string, text: string): Task<null> {
    this.counted.assertAlive();
    let error: Error | null = null;
    try {
      const message = this.fault?.(path) ?? null;
      if (message !== null) throw new Error(message);
      writeFileSync(path, JSON.stringify({ content: this.content, text }));
    } catch (thrown) {
      error = thrown as Error;
    }
    return {
      poll: () => (error === null ? { kind: "done" } : { kind: "failed", error }),
      take: () => null,
      [Symbol.dispose]: () => {},
    };
  }

  [Symbol.dispose](): void {
    this.counted.dispose();
  }
}

export function readFakeState(path: string): { content: FakeContent; text: string } | Error {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as { content: FakeContent; text: string };
  } catch (thrown) {
    return thrown as Error;
  }
}

/** A file may hold anything. */
export function contentOf(state: SavedState, kind: "cells"): FakeSlice;
export function contentOf(state: SavedState, kind: "rest"): FakeEnd;
export function contentOf(state: SavedState, kind: "cells" | "rest"): FakeContent {
  assert(state instanceof FakeState, "a state goes back to the backend that made it");
  if (Array.isArray(state.content) !== (kind === "cells")) throw new Error(`a state without ${kind}`);
  return state.content;
}
