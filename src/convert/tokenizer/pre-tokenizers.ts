// Which of llama.cpp's pre-tokenizers cuts a text as a tokenizer.json does. Told by the structure of its
// `pre_tokenizer`: the steps and their patterns are what decides how a text is cut.
// llama.cpp's own converter runs the tokenizer over a text and looks the hash of the ids up. That names known
// vocabularies, and does not know the same pre-tokenizer with another vocabulary; what both know, both call by names
// that cut alike.

import { isRecord } from "../../lib/is-record.ts";
import { AppError } from "../../protocol/errors.ts";
import { Fields } from "../json-file.ts";

const SUFFIXES = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const WORDS = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
const SPACES = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const SIGNS = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*";
const LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const CASED = (end: string): string =>
  `[^\\r\\n\\p{L}\\p{N}]?${UPPER}*${LOWER}+${end}|[^\\r\\n\\p{L}\\p{N}]?${UPPER}+${LOWER}*${end}`;

const split = (pattern: string): string => `split ${pattern}`;
const BYTES = "bytes";
const GPT2_BYTES = "bytes, cut by GPT-2's pattern";
const DIGITS = "single digits";

interface Known {
  name: string;
  steps: readonly string[];
  /** As llama.cpp does by this name; null where it is all the same. */
  ignoresMerges: boolean | null;
}

const KNOWN: readonly Known[] = [
  {
    name: "llama-bpe",
    steps: [split(`${SUFFIXES}|${WORDS}|\\p{N}{1,3}|${SIGNS}|${SPACES}`), BYTES],
    ignoresMerges: true,
  },
  {
    name: "smaug-bpe",
    steps: [split(`${SUFFIXES}|${WORDS}|\\p{N}{1,3}|${SIGNS}|${SPACES}`), BYTES],
    ignoresMerges: false,
  },
  { name: "qwen2", steps: [split(`${SUFFIXES}|${WORDS}|\\p{N}|${SIGNS}|${SPACES}`), BYTES], ignoresMerges: false },
  {
    name: "qwen35",
    steps: [
      split(`${SUFFIXES}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${SPACES}`),
      BYTES,
    ],
    ignoresMerges: false,
  },
  {
    name: "tekken",
    steps: [split(`${CASED("")}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`), BYTES],
    // Its vocabulary has a merge for every token, so that it is the same either way.
    ignoresMerges: null,
  },
  {
    name: "gpt-4o",
    steps: [split(`${CASED(`${SUFFIXES}?`)}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`), BYTES],
    ignoresMerges: false,
  },
  { name: "gpt-2", steps: [GPT2_BYTES], ignoresMerges: false },
  { name: "smollm", steps: [DIGITS, GPT2_BYTES], ignoresMerges: false },
  {
    name: "deepseek-coder",
    steps: [split("[\r\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"), split("[一-龥ࠀ-一가-퟿]+"), DIGITS, BYTES],
    ignoresMerges: false,
  },
];

/** Nested sequences are flat by then; real ones have up to six steps. */
const STEPS_MAX = 32;

/** The value of `tokenizer.ggml.pre`. Throws AppError where llama.cpp has none that cuts alike, or none is known here. */
export function findPreTokenizer(tokenizer: Fields, ignoresMerges: boolean): string {
  const root = tokenizer.object("pre_tokenizer");
  const steps = root === null ? [] : describeSteps(root);
  const same = KNOWN.filter(
    (known) => known.steps.length === steps.length && known.steps.every((s, i) => s === steps[i]),
  );
  const found = same.find((known) => known.ignoresMerges === null || known.ignoresMerges === ignoresMerges);
  if (found !== undefined) return found.name;
  const shown = steps.length === 0 ? "none" : steps.join("; ").slice(0, 200);
  throw new AppError({
    code: "format_unsupported",
    message: `tokenizer.json cuts texts in a way that is not known here (${shown})`,
    hint: "Only a converter that knows this tokenizer can make a GGUF of the model; nothing was written.",
  });
}

function describeSteps(step: Fields): string[] {
  if (step.text("type") !== "Sequence") return [describeStep(step)];
  const steps = step.list("pretokenizers").slice(0, STEPS_MAX);
  return steps.map((inner) => (isRecord(inner) ? describeStep(new Fields(step.source, inner)) : "unknown"));
}

function describeStep(step: Fields): string {
  const type = step.text("type") ?? "unknown";
  if (type === "Split") return describeSplit(step);
  if (type === "Digits" && step.truth("individual_digits") === true) return DIGITS;
  if (type === "ByteLevel" && step.truth("add_prefix_space") !== true) {
    return step.truth("use_regex") === false ? BYTES : GPT2_BYTES;
  }
  return type;
}

/** Pieces that match are kept apart; "remove what does not match" is the same where all of a text matches. */
function describeSplit(step: Fields): string {
  const pattern = step.object("pattern");
  const text = pattern?.text("Regex") ?? null;
  const behavior = step.text("behavior");
  const isolates = step.truth("invert") === true ? behavior === "Removed" : behavior === "Isolated";
  if (text === null || !isolates) return `Split (${behavior ?? "unknown"})`;
  // One-digit runs are written with and without a count.
  return split(text.replaceAll("\\p{N}{1}", "\\p{N}"));
}
