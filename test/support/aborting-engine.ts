// An engine that runs into an assertion of ggml, as a bug or a broken model would: a batch longer than its context's.
// Started by a test in place of the program; knows no protocol.

import { NativeContext } from "../../src/ffi/context.ts";
import { loadDemoModel } from "./llama-library.ts";

const ROWS = 64;

const context = NativeContext.make(await loadDemoModel(), {
  contextLength: 256,
  batchSize: ROWS / 2,
  microBatchSize: ROWS / 2,
  outputs: 1,
  sequences: 1,
  threads: 1,
  embeddings: false,
  pooling: -1,
});
context.decode({
  length: ROWS,
  tokens: new Int32Array(ROWS).fill(5),
  positions: Int32Array.from({ length: ROWS }, (_, i) => i),
  sequences: new Int32Array(ROWS),
  outputs: new Int8Array(ROWS),
});
