// Qwen3's rerankers: a converted one, asked by the engine, gives a document the share of "yes" that the whole model gives
// it, and the prompt is the template of the model's card.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertFolder, readWritten } from "../support/convert-folder.ts";
import { finish } from "../support/finish.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import { computeLogits } from "../support/reference-decoder.ts";
import { NO, RERANKERS, rerankerTokenizer, YES } from "../support/reranker-models.ts";
import { makeTensors, type TinyDecoder, writeTinyFolder } from "../support/tiny-decoders.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-reranker-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Of what "yes" has over "no": keys and values are F16 in llama.cpp's cache, and a share near 1 has few digits left. */
const DIFFERENCE_MAX = 5e-3;
const DOCUMENTS = ["It is a bear.", "Hello!", "", "Pandas eat bamboo", "大熊猫", "[0.5, 0.25]"];

describe.skipIf(!HAS_NATIVE)("a converted reranker", () => {
  test.each(Object.entries(RERANKERS))("%s: the share of yes", async (name, model) => {
    const source = join(folder, name);
    writeTinyFolder(source, model, rerankerTokenizer());
    const { path } = await convertFolder(source);
    using backend = await loadModelFile(path);
    expect(backend.info).toMatchObject({ pooling: "rank", canGenerate: false });
    const tensors = makeTensors(model);
    const leads: number[] = [];
    for (const document of DOCUMENTS) {
      using prompt = finish(backend.prepareEmbedding({ query: "What is a panda?", document }));
      const tokens = prompt.tokens.slice();
      const text = Buffer.concat([...tokens].map((token) => backend.tokenBytes(token, true))).toString();
      expect(text).toContain(`<Query>: What is a panda?\n<Document>: ${document}<|im_end|>\n`);
      expect(text).toEndWith("<|im_start|>assistant\n<think>\n\n</think>\n\n");
      const [[found = Number.NaN] = []] = backend.embed([tokens]);
      const logits = computeLogits(model, tensors, [...tokens]);
      const lead = Math.log(found / (1 - found));
      expect(Math.abs(lead - ((logits[YES] as number) - (logits[NO] as number)))).toBeLessThan(DIFFERENCE_MAX);
      leads.push(lead);
    }
    expect(Math.max(...leads) - Math.min(...leads)).toBeGreaterThan(10 * DIFFERENCE_MAX);
  });
});

const PLAIN = RERANKERS["Qwen3-Reranker-tied"] as TinyDecoder;

test("is told by the folder's name, by config.json's name, and by the card", async () => {
  const named = { ...PLAIN, config: { _name_or_path: "Qwen/Qwen3-Reranker-0.6B" } };
  for (const [name, model, card] of [
    ["my-qwen3-reranker", PLAIN, null],
    ["by-config", named, null],
    ["by-card", PLAIN, "# Qwen3-Reranker-0.6B\n"],
  ] as const) {
    const source = join(folder, name);
    writeTinyFolder(source, model, rerankerTokenizer());
    if (card !== null) writeFileSync(join(source, "README.md"), card);
    expect(readWritten((await convertFolder(source)).path).value("qwen3.pooling_type")).toBe(4);
  }
  const other = join(folder, "another");
  writeTinyFolder(other, PLAIN, rerankerTokenizer());
  expect(readWritten((await convertFolder(other)).path).value("qwen3.pooling_type")).toBeUndefined();
});

test("needs the words that it answers with", async () => {
  const source = join(folder, "Qwen3-Reranker-speechless");
  writeTinyFolder(source, PLAIN, tinyTokenizer());
  const failed = await convertFolder(source).then(null, (thrown: unknown) => thrown);
  expect(failed).toMatchObject({ code: "model_damaged" });
  expect((failed as Error).message).toContain('no token "yes"');
});
