// Texts have the same tokens after a conversion: llama.cpp's own vocabularies are put back into a Hugging Face folder,
// converted, and asked for the ids that llama.cpp's tests expect of them, and for those that its own vocabularies give for
// 500 lines in many scripts. Further: which tokens frame a text.

import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Fields } from "../../src/convert/json-file.ts";
import { planTokenizer } from "../../src/convert/tokenizer/plan-tokenizer.ts";
import { readSentencePieceModel } from "../../src/convert/tokenizer/sentencepiece-model.ts";
import type { GgufEntry } from "../../src/formats/gguf/write-header.ts";
import { convertFolder } from "../support/convert-folder.ts";
import {
  CHAT_TEMPLATE,
  cutBy,
  LLAMA3_PATTERN,
  QWEN2_PATTERN,
  readExpectations,
  readVocabulary,
  readVocabularyOf,
  tinyTokenizer,
  toByteLevelJson,
  toFallbackJson,
  toSentencePieceModel,
} from "../support/hf-tokenizers.ts";
import { HAS_NATIVE, loadModelFile } from "../support/llama-library.ts";
import { TINIEST, type TinyDecoder, writeTinyFolder } from "../support/tiny-decoders.ts";
import type { TokenizerName } from "../support/tokenizers.ts";
import { idsOf, LINES, loadVendored } from "../support/vendored-ids.ts";

const folder = mkdtempSync(join(tmpdir(), "mlo-convert-tokens-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SMALL: TinyDecoder = {
  ...TINIEST,
  isTied: true,
  dtype: "BF16",
};

type Source = [
  title: string,
  vocabulary: string,
  architecture: TinyDecoder["architecture"],
  files: (name: string) => Record<string, unknown>,
];

/** By GPT-2's pattern, after single digits where those are cut off first. */
const gpt2Cut = (cutsDigits: boolean): Record<string, unknown> => {
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return cutsDigits ? { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, bytes] } : bytes;
};

const gpt2Like = (title: string, vocabulary: string, cutsDigits: boolean): Source => [
  title,
  vocabulary,
  "Qwen2ForCausalLM",
  () => {
    const json = toByteLevelJson(readVocabulary(vocabulary), QWEN2_PATTERN, false) as object;
    return { "tokenizer.json": { ...json, pre_tokenizer: gpt2Cut(cutsDigits) } };
  },
];

const SOURCES: readonly Source[] = [
  [
    "Llama 3's tokenizer.json",
    "llama-bpe",
    "LlamaForCausalLM",
    (name) => ({ "tokenizer.json": toByteLevelJson(readVocabulary(name), LLAMA3_PATTERN, true) }),
  ],
  [
    "Qwen2's tokenizer.json",
    "qwen2",
    "Qwen2ForCausalLM",
    (name) => ({ "tokenizer.json": toByteLevelJson(readVocabulary(name), QWEN2_PATTERN, false) }),
  ],
  [
    "Llama 2's tokenizer.model",
    "llama-spm",
    "LlamaForCausalLM",
    (name) => ({ "tokenizer.model": toSentencePieceModel(readVocabulary(name)) }),
  ],
  [
    "Llama 2's tokenizer.json",
    "llama-spm",
    "LlamaForCausalLM",
    (name) => ({ "tokenizer.json": toFallbackJson(readVocabulary(name)) }),
  ],
  gpt2Like("GPT-2's tokenizer.json", "gpt-2", false),
  // MPT has GPT-NeoX's.
  gpt2Like("GPT-NeoX's tokenizer.json", "mpt", false),
  gpt2Like("StarCoder's tokenizer.json", "starcoder", true),
  gpt2Like("Refact's tokenizer.json", "refact", true),
];

describe.skipIf(!HAS_NATIVE)("ids of a multilingual text", () => {
  test.each(SOURCES)(
    "%s",
    async (title, name, architecture, files) => {
      const source = join(folder, title.replaceAll(/\W+/g, "-"));
      // More rows than tokens, as real models have: the rest are unused tokens.
      const vocabulary = readVocabulary(name).tokens.length + 3;
      writeTinyFolder(source, { ...SMALL, architecture, vocabulary }, files(name));
      const { path } = await convertFolder(source, "bf16");
      const [converted, original] = [readVocabularyOf(path), readVocabulary(name)];
      expect(converted.tokens.slice(0, -3)).toEqual(original.tokens);
      // tokenizer.json does not tell the unknown token from other special ones.
      const types = Array.from(original.types, (type) => (type === 2 && "tokenizer.json" in files(name) ? 3 : type));
      expect([...converted.types.slice(0, -3)]).toEqual(types);
      expect(converted.merges).toEqual(original.merges);
      using backend = await loadModelFile(path);
      const expectations = readExpectations(name);
      expect(expectations.length).toBeGreaterThan(40);
      for (const { text, ids } of expectations) expect({ text, ids: idsOf(backend, text) }).toEqual({ text, ids });
      // The same vocabulary as llama.cpp's own converter left it, in another model.
      using vendored = await loadVendored(name as TokenizerName);
      for (const text of LINES)
        expect({ text, ids: idsOf(backend, text) }).toEqual({ text, ids: idsOf(vendored, text) });
    },
    60_000,
  );

  test("the text has 500 lines of many scripts, and no two are alike", () => {
    expect(new Set(LINES).size).toBe(500);
    const text = LINES.join("");
    for (const script of ["Latin", "Greek", "Cyrillic", "Hebrew", "Arabic", "Devanagari", "Thai", "Han", "Hangul"]) {
      expect([script, (text.match(new RegExp(`\\p{Script=${script}}`, "gu")) ?? []).length > 50]).toEqual([
        script,
        true,
      ]);
    }
  });
});

/** Entries of a folder with these files; config.json as given. */
function plan(files: Record<string, unknown>, config: Record<string, unknown> = {}, architecture = "llama") {
  const at = mkdtempSync(join(folder, "plan-"));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(at, name, ".."), { recursive: true });
    const isRaw = content instanceof Uint8Array || typeof content === "string";
    writeFileSync(join(at, name), isRaw ? content : JSON.stringify(content));
  }
  const { entries, notes } = planTokenizer(at, new Fields("config.json", { vocab_size: 300, ...config }), architecture);
  return { entries: new Map(entries), notes };
}

const contentOf = (entry: GgufEntry | undefined) => (entry?.type === "array" ? entry.values : entry?.value);

describe("the tiny tokenizer", () => {
  const { entries } = plan(tinyTokenizer());

  test("tokens, types, merges", () => {
    const tokens = contentOf(entries.get("tokenizer.ggml.tokens")) as string[];
    const types = contentOf(entries.get("tokenizer.ggml.token_type")) as number[];
    expect(tokens).toHaveLength(300);
    expect(tokens.slice(256, 261)).toEqual(["<|bos|>", "<|eos|>", "th", "the", "[PAD260]"]);
    expect(types.slice(255, 261)).toEqual([1, 3, 3, 1, 1, 5]);
    expect(contentOf(entries.get("tokenizer.ggml.merges"))).toEqual(["t h", "th e"]);
    expect(contentOf(entries.get("tokenizer.ggml.pre"))).toBe("qwen2");
  });

  test("special tokens by their names, a name within an object as well", () => {
    expect(contentOf(entries.get("tokenizer.ggml.bos_token_id"))).toBe(256);
    expect(contentOf(entries.get("tokenizer.ggml.eos_token_id"))).toBe(257);
    expect(contentOf(entries.get("tokenizer.ggml.padding_token_id"))).toBe(257);
    expect(contentOf(entries.get("tokenizer.ggml.add_bos_token"))).toBe(false);
    expect(contentOf(entries.get("tokenizer.chat_template"))).toBe(CHAT_TEMPLATE);
  });
});

describe("special tokens", () => {
  const base = tinyTokenizer();
  const json = base["tokenizer.json"] as Record<string, unknown>;
  const template = (single: unknown[]) => ({ type: "TemplateProcessing", single, pair: [] });
  const token = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const text = { Sequence: { id: "A", type_id: 0 } };

  test("a template puts them around texts, and tokenizer_config.json overrules it", () => {
    const post = { type: "Sequence", processors: [template([token("<|bos|>"), text, token("<|eos|>")])] };
    const files = { "tokenizer.json": { ...json, post_processor: post } };
    const settings = { bos_token: "<|bos|>", eos_token: "<|eos|>" };
    const framed = plan({ ...files, "tokenizer_config.json": settings }).entries;
    expect(contentOf(framed.get("tokenizer.ggml.add_bos_token"))).toBe(true);
    expect(contentOf(framed.get("tokenizer.ggml.add_eos_token"))).toBe(true);
    const bare = plan({ ...files, "tokenizer_config.json": { ...settings, add_bos_token: false } }).entries;
    expect(contentOf(bare.get("tokenizer.ggml.add_bos_token"))).toBe(false);
  });

  test("another end in the template makes the named one an end of turns", () => {
    const post = template([text, token("<|eos|>")]);
    const settings = { bos_token: "<|bos|>", eos_token: "<|bos|>" };
    const { entries } = plan({
      "tokenizer.json": { ...json, post_processor: post },
      "tokenizer_config.json": settings,
    });
    expect(contentOf(entries.get("tokenizer.ggml.eos_token_id"))).toBe(257);
    expect(contentOf(entries.get("tokenizer.ggml.eot_token_id"))).toBe(256);
  });

  test("ids of config.json where no name is given; a list of ends is not one", () => {
    const { entries } = plan({ "tokenizer.json": json }, { bos_token_id: 7, eos_token_id: [8, 9], pad_token_id: 3 });
    expect(contentOf(entries.get("tokenizer.ggml.bos_token_id"))).toBe(7);
    expect(entries.has("tokenizer.ggml.eos_token_id")).toBe(false);
    expect(contentOf(entries.get("tokenizer.ggml.padding_token_id"))).toBe(3);
  });
});

describe("chat templates", () => {
  const base = tinyTokenizer();
  const json = { "tokenizer.json": base["tokenizer.json"], "tokenizer_config.json": {} };

  test("in a file of its own, with further ones in a folder", () => {
    const { entries } = plan({
      ...json,
      "chat_template.jinja": "main",
      "additional_chat_templates/tool_use.jinja": "tools",
      "additional_chat_templates/notes.txt": "no",
    });
    expect(contentOf(entries.get("tokenizer.chat_template"))).toBe("main");
    expect(contentOf(entries.get("tokenizer.chat_template.tool_use"))).toBe("tools");
    expect(contentOf(entries.get("tokenizer.chat_templates"))).toEqual(["tool_use"]);
  });

  test("several by name; names become safe", () => {
    const list = [
      { name: "default", template: "d" },
      { name: "to.ol/x", template: "t" },
    ];
    const { entries } = plan({ ...json, "tokenizer_config.json": { chat_template: list } });
    expect(contentOf(entries.get("tokenizer.chat_template"))).toBe("d");
    expect(contentOf(entries.get("tokenizer.chat_template.to_ol_x"))).toBe("t");
  });
});

describe("what can't be converted is told", () => {
  const base = tinyTokenizer();
  const json = base["tokenizer.json"] as Record<string, unknown>;
  const model = json.model as Record<string, unknown>;
  const refusals: [string, Record<string, unknown>, string][] = [
    ["no tokenizer", {}, "neither tokenizer.json nor tokenizer.model"],
    ["an unknown way to cut", { "tokenizer.json": { ...json, pre_tokenizer: cutBy("\\w+") } }, "split \\w+"],
    ["a byte-level step with a space before", { "tokenizer.json": { ...json, pre_tokenizer: null } }, "(none)"],
    ["another kind of model", { "tokenizer.json": { ...json, model: { type: "WordLevel" } } }, "WordLevel"],
    [
      "an id out of range",
      { "tokenizer.json": { ...json, model: { ...model, vocab: { a: 300 } } } },
      "the model has 300",
    ],
    ["an id that is no number", { "tokenizer.json": { ...json, model: { ...model, vocab: { a: "1" } } } }, 'id "1"'],
    ["an id twice", { "tokenizer.json": { ...json, model: { ...model, vocab: { a: 1, b: 1 } } } }, "two tokens"],
    ["no merges", { "tokenizer.json": { ...json, model: { ...model, merges: [] } } }, "no merges"],
    ["a merge of three", { "tokenizer.json": { ...json, model: { ...model, merges: [["a", "b", "c"]] } } }, "no pair"],
    ["no JSON", { "tokenizer.json": "{" }, "tokenizer.json is not JSON"],
    ["a list", { "tokenizer.json": "[]" }, "no JSON object"],
    [
      "a text as tokenizer.model",
      { "tokenizer.model": "IQ== 0\nIg== 1\n" },
      "tokenizer.model is no SentencePiece model",
    ],
  ];

  test.each(refusals)("%s", (_, files, message) => {
    expect(() => plan(files)).toThrow(message);
  });

  test("merges.txt where tokenizer.json has none", () => {
    const without = { ...json, model: { ...model, merges: [] } };
    const { entries } = plan({ "tokenizer.json": without, "merges.txt": "#version: 0.2\nt h\n\nth e\n" });
    expect(contentOf(entries.get("tokenizer.ggml.merges"))).toEqual(["t h", "th e"]);
  });

  test("merges as pairs; a space in a part is written as byte-level BPE writes it", () => {
    const pairs = {
      ...json,
      model: {
        ...model,
        merges: [
          ["t", "h"],
          ["th", " "],
        ],
      },
    };
    const { entries } = plan({ "tokenizer.json": pairs });
    expect(contentOf(entries.get("tokenizer.ggml.merges"))).toEqual(["t h", "th Ġ"]);
  });

  test("a unigram model is converted with a note", () => {
    const vocabulary = readVocabulary("llama-spm");
    const file = toSentencePieceModel(vocabulary, 1);
    const { notes } = plan({ "tokenizer.model": file }, { vocab_size: vocabulary.tokens.length });
    expect(notes.join()).toContain("unigram");
  });

  test("tokenizer.model cut anywhere is an error or a shorter list, never more", () => {
    const whole = toSentencePieceModel({ ...readVocabulary("llama-spm"), tokens: ["a", "bc", "ü", "<s>"] });
    let errors = 0;
    for (let length = 0; length < whole.length; length++) {
      try {
        expect(readSentencePieceModel(whole.subarray(0, length)).pieces.length).toBeLessThanOrEqual(4);
      } catch (thrown) {
        expect(String(thrown)).toContain("tokenizer.model");
        errors += 1;
      }
    }
    expect(errors).toBeGreaterThan(whole.length / 2);
    expect(readSentencePieceModel(whole)).toMatchObject({
      isUnigram: false,
      pieces: [{ text: "a" }, { text: "bc" }, {}, {}],
    });
  });
});
