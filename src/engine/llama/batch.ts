// Fills llama.cpp's batch columns from the parts of a step. The columns are made once and reused.

import { assert } from "../../lib/assert.ts";
import type { BatchPart, OutputRow } from "../backend.ts";

export interface Columns {
  length: number;
  tokens: Int32Array;
  positions: Int32Array;
  sequences: Int32Array;
  outputs: Int8Array;
}

export class Batch {
  readonly columns: Columns;
  /** Batch index of the first row with output of each part that has one, in the order of the parts. */
  readonly rows: number[] = [];

  constructor(capacity: number) {
    this.columns = {
      length: 0,
      tokens: new Int32Array(capacity),
      positions: new Int32Array(capacity),
      sequences: new Int32Array(capacity),
      outputs: new Int8Array(capacity),
    };
  }

  fill(parts: readonly BatchPart[]): void {
    const { tokens, positions, sequences, outputs } = this.columns;
    this.rows.length = 0;
    let at = 0;
    for (const part of parts) {
      const count = part.tokens.length;
      assert(count > 0 && at + count <= tokens.length, "a batch holds its parts");
      tokens.set(part.tokens, at);
      sequences.fill(part.seqId, at, at + count);
      outputs.fill(0, at, at + count);
      for (let i = 0; i < count; i++) positions[at + i] = part.start + i;
      at += count;
      if (part.output) {
        const first = at - 1 - (part.drafted ?? 0);
        outputs.fill(1, first, at);
        this.rows.push(first);
      }
    }
    this.columns.length = at;
  }

  /** Batch indices of rows with output. */
  indices(rows: readonly OutputRow[]): Int32Array {
    return Int32Array.from(rows, ({ part, row }) => {
      const first = this.rows[part];
      assert(first !== undefined, `part ${part} has output`);
      return first + row;
    });
  }

  /** Whole inputs for pooling: every token has output. */
  fillForPooling(inputs: readonly Int32Array[]): void {
    this.fill(inputs.map((tokens, seqId) => ({ seqId, tokens, start: 0, output: true })));
    this.columns.outputs.fill(1, 0, this.columns.length);
  }
}
