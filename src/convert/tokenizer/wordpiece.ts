// WordPiece (BERT and its kin) as GGUF's "bert" tokenizer: from tokenizer.json, or from vocab.txt with what
// tokenizer_config.json says of it. GGUF marks the pieces that begin a word, where WordPiece marks those that go on.

import { damagedModel, Fields, readTextFile } from "../json-file.ts";
import { listTokens } from "./byte-bpe.ts";
import { listSteps } from "./normalizer.ts";
import { TOKEN_TYPES, type Token, type TokenizerFiles, type TokenizerPlan, tokenEntries } from "./tokenizer-files.ts";

const VOCABULARY_FILE = "vocab.txt";
const CONTINUATION = "##";
/** Whatever it says, llama.cpp cuts for this kind of vocabulary in one way. */
const PRE_TOKENIZER = "bert-bge";
/** What BERT's tokens are called, where nothing says otherwise. */
const NAMES: readonly (readonly [field: string, text: string])[] = [
  ["unk_token", "[UNK]"],
  ["sep_token", "[SEP]"],
  ["pad_token", "[PAD]"],
  ["cls_token", "[CLS]"],
  ["mask_token", "[MASK]"],
];

export function isWordPiece({ tokenizer }: TokenizerFiles): boolean {
  return tokenizer?.object("model")?.text("type") === "WordPiece";
}

/** With vocab.txt in the form of a tokenizer.json, and with names for the special tokens; null: no WordPiece. */
export function completeWordPiece(files: TokenizerFiles): TokenizerFiles | null {
  const whole = files.tokenizer === null ? readVocabularyFile(files) : files;
  if (whole === null || !isWordPiece(whole)) return null;
  const texts = new Set(whole.tokenizer?.list("added_tokens").map((token) => (token as { content?: unknown }).content));
  const names = NAMES.filter(([, text]) => texts.has(text));
  const values = { ...Object.fromEntries(names), ...withoutNulls(whole.settings?.values ?? {}) };
  return { ...whole, settings: new Fields("tokenizer_config.json", values) };
}

/** `files` come from completeWordPiece. */
export function planWordPiece(files: TokenizerFiles): TokenizerPlan {
  const model = files.tokenizer?.object("model") ?? null;
  if (model === null) throw damagedModel("tokenizer.json has no model");
  const prefix = model.text("continuing_subword_prefix") ?? CONTINUATION;
  const tokens = listTokens(files, model).map((token) => ({ ...token, text: markBeginning(token, prefix) }));
  return {
    entries: [
      ["tokenizer.ggml.model", { type: "string", value: "bert" }],
      ["tokenizer.ggml.pre", { type: "string", value: PRE_TOKENIZER }],
      ...tokenEntries(tokens, false),
    ],
    notes: noteNormalizer(files.tokenizer),
  };
}

function markBeginning({ text, type }: Token, prefix: string): string {
  if (type === TOKEN_TYPES.control) return text;
  return text.startsWith(prefix) ? text.slice(prefix.length) : `▁${text}`;
}

/** A line is a token, and its number the id. */
function readVocabularyFile(files: TokenizerFiles): TokenizerFiles | null {
  const text = readTextFile(files.folder, VOCABULARY_FILE);
  if (text === null) return null;
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  // Of a token that is there twice the last one counts, as it does for transformers.
  const vocab = new Map(lines.map((line, id) => [line, id]));
  const { settings } = files;
  const stated = NAMES.map(
    ([field, standard]) => settings?.text(field) ?? settings?.object(field)?.text("content") ?? standard,
  );
  const [, sep, , cls] = stated;
  if (sep === undefined || cls === undefined || !vocab.has(sep) || !vocab.has(cls)) {
    throw damagedModel(`${VOCABULARY_FILE} has no ${sep} and ${cls}, which begin and end a text`);
  }
  const values = {
    added_tokens: stated
      .filter((name) => vocab.has(name))
      .map((content) => ({ id: vocab.get(content), content, special: true })),
    normalizer: describeNormalizer(settings),
    post_processor: frame(cls, sep),
    model: { type: "WordPiece", vocab: Object.fromEntries(vocab) },
  };
  return { ...files, tokenizer: new Fields(VOCABULARY_FILE, values) };
}

function describeNormalizer(settings: Fields | null): Record<string, unknown> {
  return {
    type: "BertNormalizer",
    handle_chinese_chars: settings?.truth("tokenize_chinese_chars") ?? true,
    strip_accents: settings?.truth("strip_accents") ?? null,
    lowercase: settings?.truth("do_lower_case") ?? true,
  };
}

function frame(cls: string, sep: string): Record<string, unknown> {
  const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const text = (id: string) => ({ Sequence: { id, type_id: 0 } });
  const single = [special(cls), text("A"), special(sep)];
  return { type: "TemplateProcessing", single, pair: [...single, text("B"), special(sep)] };
}

function noteNormalizer(tokenizer: Fields | null): string[] {
  const apart = listSteps(tokenizer).some((step) => step.truth("handle_chinese_chars") === false);
  return apart ? ["Chinese characters are cut into single ones, which the model's own tokenizer does not do"] : [];
}

const withoutNulls = (values: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));
