// What a convertible folder is told to become: of a large one the smaller type is named.

import { expect, test } from "bun:test";
import { judgeModel, type ModelFacts } from "../../../src/formats/safetensors/judge-model.ts";

function factsOf(parameterCount: number): ModelFacts {
  const architecture = "LlamaForCausalLM";
  const tensor = { name: "model.embed_tokens.weight", dtype: "BF16", shape: [100, 8], start: 0, end: 1600 };
  const config = { architecture, modelType: "llama", contextLength: 4096, hiddenSize: 8, layerCount: 0 };
  return {
    found: { format: "safetensors", architecture, parameterCount, files: ["model.safetensors"] },
    folder: "/models/A Model",
    config: { ...config, quantization: null },
    tokenizer: { name: "BPE", file: "tokenizer.json", hasChatTemplate: true, missing: [] },
    weights: { method: null, dtype: "BF16", dtypes: new Set(["BF16"]), count: () => parameterCount },
    method: null,
    tensors: new Map([[tensor.name, tensor]]),
  };
}

test("a folder over 4 GB is told what q4_k_m makes of it; a small one is not", () => {
  const large = judgeModel(factsOf(8e9));
  expect(large).toMatchObject({
    verdict: "convertible",
    resultBytes: 16e9,
    command: "ml-offload convert '/models/A Model'",
  });
  expect(large.reason).toEndWith(" With --outtype q4_k_m it takes about 4.9 GB and answers nearly as well.");
  expect(judgeModel(factsOf(1e9)).reason).not.toContain("q4_k_m");
});
