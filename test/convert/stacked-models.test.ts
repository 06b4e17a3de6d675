// Models whose experts lie in stacks, as newer versions of transformers keep them, become the file that they become from
// experts one by one.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertFolder, readWritten } from "../support/convert-folder.ts";
import { tinyTokenizer } from "../support/hf-tokenizers.ts";
import { stackExperts } from "../support/packed-families.ts";
import {
  makeTensors,
  type NamedTensor,
  type TinyDecoder,
  writeTensors,
  writeTinyFolder,
} from "../support/tiny-decoders.ts";
import { EXPERT_MODELS } from "../support/tiny-models.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-stacked-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What Mixtral's matrices are called while a model runs. */
const NEWER_NAMES: Readonly<Record<string, string>> = { w1: "gate_proj", w2: "down_proj", w3: "up_proj" };

function renameMixtral(tensors: ReadonlyMap<string, NamedTensor>): Map<string, NamedTensor> {
  const newer = (name: string) =>
    name
      .replace(".block_sparse_moe.", ".mlp.")
      .replace(/\.(w[123])\.weight$/, (_, kind) => `.${NEWER_NAMES[kind]}.weight`);
  return new Map([...tensors].map(([name, tensor]) => [newer(name), tensor]));
}

test.each(["mixtral", "qwen2moe", "qwen3moe"])("%s", async (name) => {
  const model = EXPERT_MODELS[name] as TinyDecoder;
  const [single, stacked] = [join(folder, `${name}-single`), join(folder, `${name}-stacked`)];
  writeTinyFolder(single, model, tinyTokenizer());
  writeTinyFolder(stacked, model, tinyTokenizer());
  const tensors = makeTensors(model);
  writeTensors(stacked, stackExperts(name === "mixtral" ? renameMixtral(tensors) : tensors), model.dtype, 1);
  const [expected, found] = [
    readWritten((await convertFolder(single, "f16")).path),
    readWritten((await convertFolder(stacked, "f16")).path),
  ];
  expect(found.tensorNames.toSorted()).toEqual(expected.tensorNames.toSorted());
  for (const tensor of expected.tensorNames) {
    const { offset: _there, ...meant } = expected.tensor(tensor);
    const { offset: _here, ...own } = found.tensor(tensor);
    expect(own).toEqual(meant);
  }
});
