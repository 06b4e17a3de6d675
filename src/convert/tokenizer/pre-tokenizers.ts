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

/** Of scripts that have cases, as DeepSeek lists them. */
const CASED_LETTERS =
  "[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";

/** Some letters are written in two ways, with their marks and composed. */
const split = (pattern: string): string => `split ${pattern.normalize("NFC")}`;
const BYTES = "bytes";
const GPT2_BYTES = "bytes, cut by GPT-2's pattern";
const DIGITS = "single digits";
const LINES = split("[\\r\\n]");
const EASTERN = split("[一-龥ࠀ-一가-퟿]+");

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
    steps: [LINES, split("\\s?\\p{L}+"), split("\\s?\\p{P}+"), EASTERN, DIGITS, BYTES],
    ignoresMerges: false,
  },
  {
    name: "deepseek-llm",
    steps: [
      LINES,
      split(`\\s?${CASED_LETTERS}`),
      split("\\s?[!-/:-~！-／：-～‘-‟　-。]+"),
      split("\\s+$"),
      EASTERN,
      DIGITS,
      BYTES,
    ],
    ignoresMerges: false,
  },
  {
    name: "deepseek-v3",
    steps: [
      split("\\p{N}{1,3}"),
      split("[一-龥぀-ゟ゠-ヿ]+"),
      split(
        "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
      ),
      BYTES,
    ],
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
  // One-digit runs are written with and without a count, ends of lines as they are and by their names.
  const lines = text.replaceAll("\r", "\\r").replaceAll("\n", "\\n");
  return split(lines.replaceAll("\\p{N}{1}", "\\p{N}"));
}
