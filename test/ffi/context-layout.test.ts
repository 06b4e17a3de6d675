// What a context says of the bytes of its states: two contexts with one layout read each other's.

import { expect, test } from "bun:test";
import { NativeContext } from "../../src/ffi/context.ts";
import { NativeModel } from "../../src/ffi/model.ts";
import { cacheModel } from "../support/gguf-builder.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { LLAMA_SPEC } from "../support/model-specs.ts";

test.skipIf(!HAS_NATIVE)("differs where the context's length decides between two sets of RoPE factors", async () => {
  const { library } = await openLlama();
  const spec = { ...LLAMA_SPEC, tokenizer: "llama-spm", contextLength: 512 } as const;
  using job = NativeModel.load(library, cacheModel(spec), { gpuLayers: 0 });
  while (job.poll().kind === "running") Bun.sleepSync(1);
  using model = job.take();
  const [short, trained, long, longer] = [256, 512, 768, 1024].map((contextLength) => {
    using context = NativeContext.make(model, {
      contextLength,
      batchSize: 64,
      microBatchSize: 64,
      outputs: 2,
      sequences: 2,
      threads: 1,
      embeddings: false,
      pooling: -1,
    });
    return context.facts().layout;
  });
  expect(trained).toBe(short);
  expect(long).not.toBe(trained);
  expect(longer).toBe(long);
});
