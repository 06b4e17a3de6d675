// What names and model cards say, as keys of a GGUF: cut as llama.cpp's converter cuts them.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { planGeneral } from "../../src/convert/general-metadata.ts";
import { Fields } from "../../src/convert/json-file.ts";
import { labelSize, labelTensors, nameGguf, splitModelName, toTitle } from "../../src/convert/model-name.ts";

const root = mkdtempSync(join(tmpdir(), "mlo-general-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test.each([
  ["Qwen3-0.6B-BF16.gguf", "Qwen3-0.6B"],
  ["model.f16.gguf", "model"],
  ["Big-Q4_K_M-00001-of-00003.gguf", "Big"],
  ["big-iq4_xs.GGUF", "big"],
  ["phi-2.gguf", "phi-2"],
  ["f16.gguf", "f16"],
  ["-q8_0.gguf", "-q8_0"],
  ["sha256-abc", "sha256-abc"],
])("the file %s is the model %s", (file, name) => {
  expect(nameGguf(file)).toBe(name);
});

describe("names", () => {
  // As gguf-py's `Metadata.get_model_id_components` cuts them.
  const names: [string, number, Partial<ReturnType<typeof splitModelName>>][] = [
    [
      "Mixtral-8x7B-Instruct-v0.1",
      0,
      { basename: "Mixtral", sizeLabel: "8x7B", finetune: "Instruct", version: "v0.1" },
    ],
    [
      "mistralai/Mistral-7B-v0.1",
      0,
      { organization: "mistralai", basename: "Mistral", sizeLabel: "7B", version: "v0.1" },
    ],
    ["NousResearch/Meta-Llama-3-8B", 0, { basename: "Meta-Llama-3", sizeLabel: "8B", version: null }],
    ["Qwen1.5-MoE-A2.7B-Chat", 0, { basename: "Qwen1.5-MoE", sizeLabel: "A2.7B", finetune: "Chat" }],
    ["crestf411/daybreak-kunoichi-2dpo-7b", 0, { basename: "daybreak-kunoichi", finetune: "2dpo", sizeLabel: "7B" }],
    ["Meta-Llama-3-8B-Instruct-80k-QLoRA", 8_030_000_000, { sizeLabel: "8B", finetune: "Instruct-80k-QLoRA" }],
    ["bloom-7b1-petals", 7_100_000_000, { basename: "bloom", sizeLabel: "7.1B", finetune: "petals" }],
    ["foundation-models/large-3B", 0, { basename: "large", fullName: "large-3B", sizeLabel: "3B" }],
    ["some model with spaces 7B", 0, { basename: null, sizeLabel: null, fullName: "some model with spaces 7B" }],
    ["just-a-name", 0, { basename: null, finetune: null }],
    ["./here-7B", 0, { organization: null, fullName: "here-7B", sizeLabel: "7B" }],
  ];

  test.each(names)("%s", (id, parameters, expected) => {
    expect(splitModelName(id, parameters)).toMatchObject(expected);
  });

  test("titles keep versions, numbers and words with capitals", () => {
    expect(toTitle("tiny-llama-v1.2-7b-ChatML")).toBe("Tiny Llama v1.2 7b ChatML");
    expect(toTitle("llama2chat")).toBe("Llama2Chat");
  });

  test("sizes have two digits", () => {
    const sizes: [number, string][] = [
      [8_030_261_248, "8.0B"],
      [70_553_706_496, "71B"],
      [494_032_768, "494M"],
      [1_543_714_304, "1.5B"],
      [97_000, "97K"],
    ];
    for (const [count, label] of sizes) expect(labelSize(count)).toBe(label);
  });

  test("a size of experts: what all share and one of them", () => {
    const experts = { name: "blk.0.ffn_up_exps.weight", dims: [1000, 6000, 8] };
    expect(labelTensors([experts, { name: "output.weight", dims: [1000, 1000] }])).toBe("8x7.0M");
    expect(labelTensors([{ ...experts, name: "blk.0.ffn_up.weight" }])).toBe("48M");
  });
});

function plan(card: string | null, files: Record<string, string> = {}, config: Record<string, unknown> = {}) {
  const folder = mkdtempSync(join(root, "case-"));
  if (card !== null) writeFileSync(join(folder, "README.md"), card);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const { entries, notes } = planGeneral({
    folder,
    config: new Fields("config.json", config),
    id: "tiny-7B-chat",
    parameterCount: 7_000_000_000,
    sizeLabel: "7.0B",
  });
  const values = entries.map(([key, entry]) => [key, entry.type === "array" ? entry.values : entry.value]);
  return { values: Object.fromEntries(values) as Record<string, unknown>, notes };
}

describe("general keys", () => {
  test("from the folder's name alone", () => {
    expect(plan(null).values).toEqual({
      "general.type": "model",
      "general.name": "Tiny 7B Chat",
      "general.finetune": "chat",
      "general.basename": "tiny",
      "general.size_label": "7B",
    });
  });

  test("config.json's name comes first, unless it is a path", () => {
    expect(plan(null, {}, { _name_or_path: "org/Other-8B-Instruct" }).values).toMatchObject({
      "general.name": "Other 8B Instruct",
      "general.organization": "Org",
      "general.size_label": "8B",
    });
    expect(plan(null, {}, { _name_or_path: "/home/a/b" }).values["general.name"]).toBe("Tiny 7B Chat");
  });

  test("from the card", () => {
    const { values } = plan(
      "---\nlicense:\n- mit\n- other\nlanguage: no\ntags: [a, b]\nbase_model: x/Y-7B-v2\n---\n# x",
    );
    expect(values).toMatchObject({
      "general.license": "mit,other",
      "general.languages": ["no"],
      "general.tags": ["a", "b"],
      "general.base_model.count": 1,
      "general.base_model.0.name": "Y 7B v2",
      "general.base_model.0.version": "v2",
      "general.base_model.0.organization": "X",
      "general.base_model.0.repo_url": "https://huggingface.co/x/Y-7B-v2",
    });
  });

  test("a card or settings that can't be read are left out with a note", () => {
    const broken = plan("---\na: [\n---\n", { "generation_config.json": "{" });
    expect(broken.notes).toHaveLength(2);
    expect(broken.notes.join("\n")).toContain("README.md is not YAML");
    expect(broken.values["general.name"]).toBe("Tiny 7B Chat");
    expect(plan("no front matter").notes).toEqual([]);
  });

  test("sampling: numbers of the right kind only", () => {
    const file = { temperature: 0.7, top_k: 20.5, top_p: "x", repetition_penalty: 1.1, mirostat: 2 };
    const { values } = plan(null, { "generation_config.json": JSON.stringify(file) });
    expect(Object.keys(values).filter((key) => key.startsWith("general.sampling."))).toEqual([
      "general.sampling.temp",
      "general.sampling.penalty_repeat",
      "general.sampling.mirostat",
    ]);
  });
});
