// The fake backend's copies of cells: JSON in memory and in files.

import { readFileSync, writeFileSync } from "node:fs";
import type { SavedState, Task } from "../../src/engine/backend.ts";

/** An object of the fake that is counted until it is disposed of, once. */
export interface Counted {
  assertAlive(): void;
  dispose(): void;
}

/** Its cells as [position, token]. */
export class FakeState implements SavedState {
  constructor(
    readonly cells: [number, number][],
    readonly text: string,
    readonly counted: Counted,
  ) {}

  get bytes(): number {
    return JSON.stringify(this.cells).length;
  }

  write(path: string, text: string): Task<null> {
    this.counted.assertAlive();
    let error: Error | null = null;
    try {
      writeFileSync(path, JSON.stringify({ cells: this.cells, text }));
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

export function readFakeState(path: string): { cells: [number, number][]; text: string } | Error {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as { cells: [number, number][]; text: string };
  } catch (thrown) {
    return thrown as Error;
  }
}
