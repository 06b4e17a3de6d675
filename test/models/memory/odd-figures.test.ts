// Headers with figures that no model has, from a seed: each gives a plan whose numbers are numbers, or a refusal that says why.

import { describe, expect, test } from "bun:test";
import { encodePlaced } from "../../../src/api/manage/encode-plan.ts";
import { describeHeaderModel, type HeaderTerms } from "../../../src/commands/server/header-subject.ts";
import { diskFiles } from "../../../src/formats/file-source.ts";
import { readGgufHeader } from "../../../src/formats/gguf/read-header.ts";
import type { GgufValue } from "../../../src/formats/gguf/read-metadata.ts";
import { readConfigShape } from "../../../src/models/memory/shape-from-config.ts";
import { readShape } from "../../../src/models/memory/shape-from-gguf.ts";
import { AppError } from "../../../src/protocol/errors.ts";
import { automaticContextLength, readTrainedLength } from "../../../src/protocol/model-info.ts";
import type { Plan } from "../../../src/router/placement/plan.ts";
import { plan } from "../../../src/router/placement.ts";
import { CONFIG_NAMES, CONFIGS } from "../../support/config-shapes.ts";
import { DEMO_PATH } from "../../support/fake-inference.ts";
import { makeRandom } from "../../support/random.ts";
import { GIB, makeMachine, makeQuestion } from "../../support/random-plans.ts";

const TERMS: HeaderTerms = { simd: ["avx2"], plugin: "", wantedType: null, largestBytes: null, asked: {} };
const demo = diskFiles.use(DEMO_PATH, (file) => readGgufHeader(file, { tensors: true }));

/** What a header may claim where one number should be. */
const ODD: readonly GgufValue[] = [
  0,
  1,
  2,
  3,
  -1,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 20,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 53,
  2n ** 64n - 1n,
  "four",
  true,
  { kind: "array", type: "u32", length: 3, items: [0, 2 ** 32 - 1, 4] },
  { kind: "array", type: "f32", length: 1, items: [Number.NaN] },
  { kind: "array", type: "u32", length: 0, items: [] },
  { kind: "array", type: "u32", length: 100_000, items: null },
];
const FIGURES = [
  "block_count",
  "embedding_length",
  "context_length",
  "feed_forward_length",
  "vocab_size",
  "attention.head_count",
  "attention.head_count_kv",
  "attention.key_length",
  "attention.value_length",
  "attention.key_length_mla",
  "attention.sliding_window",
  "attention.shared_kv_layers",
  "expert_count",
  "expert_used_count",
  "expert_feed_forward_length",
  "nextn_predict_layers",
  "pooling_type",
  "wkv.head_size",
  "token_shift_count",
  "shortconv.l_cache",
  "ssm.conv_kernel",
  "ssm.inner_size",
  "ssm.state_size",
  "ssm.group_count",
  "kda.head_dim",
];
/** With other names in the place of these, layers are of other kinds. */
const KINDS: readonly [RegExp, string][] = [
  [/$^/, ""],
  [/attn_k\./, "ssm_in."],
  [/attn_k\./, "shortconv.in_proj."],
  [/attn_k\./, "time_mix_key."],
  [/ffn_up\./, "ffn_up_exps."],
];

/** A verdict and its numbers, or the code of a refusal. */
function answer(make: () => Plan): string {
  let made: Plan;
  try {
    made = make();
  } catch (thrown) {
    if (thrown instanceof AppError) return thrown.code;
    throw thrown;
  }
  const shown = made.verdict === "fits" ? encodePlaced(made.placed) : made;
  for (const value of listNumbers(shown)) if (!(value >= 0)) throw new Error(`${value} in ${JSON.stringify(shown)}`);
  return made.verdict;
}

/** With NaN where JSON would have null: nothing that a plan tells is unknown here but speeds, which are left out. */
function listNumbers(value: unknown): number[] {
  if (typeof value === "number") return [Number.isFinite(value) ? value : Number.NaN];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, part]) => (name === "speed" ? [] : listNumbers(part)));
}

const machine = makeMachine(8 * GIB, [GIB]);
const ask = (facts: Parameters<typeof describeHeaderModel>[0]["facts"]) => () =>
  plan(makeQuestion({ ...describeHeaderModel({ id: "odd", facts }, TERMS), machine }));

test("of 3,000 headers each has a plan with numbers, or a refusal", () => {
  const answers = new Map<string, number>();
  for (let seed = 0; seed < 3000; seed++) {
    const random = makeRandom(seed);
    const pick = <T>(values: readonly T[]): T => values[random(values.length)] as T;
    const metadata = new Map(demo.metadata);
    for (let count = 1 + random(3); count > 0; count--) metadata.set(`llama.${pick(FIGURES)}`, pick(ODD));
    const [from, to] = pick(KINDS);
    const tensors = (demo.tensors ?? []).map((tensor) => ({ ...tensor, name: tensor.name.replace(from, to) }));
    const shape = readShape([{ metadata, tensors }]);
    const facts =
      shape === null ? ({ kind: "none", reason: "odd" } as const) : ({ kind: "gguf", shape, fileBytes: 1e6 } as const);
    const said = answer(ask(facts));
    answers.set(said, (answers.get(said) ?? 0) + 1);
  }
  expect([...answers.keys()].sort()).toContain("fits");
  expect(answers.get("fits")).toBeGreaterThan(300);
  expect(answers.get("format_unsupported")).toBeGreaterThan(300);
});

test("of 3,000 config.json the same", () => {
  const answers = new Map<string, number>();
  for (let seed = 0; seed < 3000; seed++) {
    const random = makeRandom(seed);
    const pick = <T>(values: readonly T[]): T => values[random(values.length)] as T;
    const config: Record<string, unknown> = { ...CONFIGS[pick(CONFIG_NAMES)], kv_lora_rank: pick([0, 512]) };
    for (let count = 1 + random(3); count > 0; count--) {
      config[pick(Object.keys(config))] = pick([
        0,
        1,
        -1,
        1.5,
        2 ** 24,
        2 ** 31,
        2 ** 53,
        1e308,
        "four",
        null,
        true,
        [],
        {},
      ]);
    }
    const shapeAs = (outType: string) => readConfigShape(config, outType);
    const said = answer(ask({ kind: "weights", parameterCount: 1e9, plainType: "f16", shapeAs }));
    answers.set(said, (answers.get(said) ?? 0) + 1);
  }
  expect(answers.size).toBeGreaterThan(2);
});

describe("a trained context that is none", () => {
  test.each([null, 0, -1, 1.5, 2 ** 31, 2 ** 32 - 1, Number.NaN])("%p counts as not told", (said) => {
    expect(readTrainedLength(said)).toBeNull();
  });

  test("the automatic context is then one that nearly every model was trained for", () => {
    expect(automaticContextLength(null)).toBe(4096);
    expect([1, 4096, 2 ** 31 - 1].map((said) => automaticContextLength(readTrainedLength(said)))).toEqual([
      1, 4096, 16_384,
    ]);
  });
});
