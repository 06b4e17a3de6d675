// Lines of text in many scripts, for tokenizers: words, numbers, code, emoji, odd spaces, marks that combine, and what only
// a machine would write. The same from the same seed.

import { makeRandom } from "./random.ts";

/** Ranges of letters, first and last code point; words of a script are drawn from one of them. */
const SCRIPTS: readonly (readonly [number, number])[] = [
  [0x61, 0x7a], // Latin
  [0x41, 0x5a],
  [0xe0, 0xff], // Latin with marks
  [0x100, 0x17f],
  [0x1ea0, 0x1eff], // Vietnamese
  [0x3b1, 0x3c9], // Greek
  [0x430, 0x44f], // Cyrillic
  [0x561, 0x586], // Armenian
  [0x5d0, 0x5ea], // Hebrew
  [0x627, 0x64a], // Arabic
  [0x905, 0x939], // Devanagari
  [0x995, 0x9a8], // Bengali
  [0xb85, 0xbb9], // Tamil
  [0xe01, 0xe2e], // Thai
  [0x10d0, 0x10f0], // Georgian
  [0x1200, 0x1248], // Ethiopic
  [0x1780, 0x17a2], // Khmer
  [0x3041, 0x3096], // Hiragana
  [0x30a1, 0x30fa], // Katakana
  [0x4e00, 0x9fa5], // Han
  [0xac00, 0xd7a3], // Hangul
  [0x1d400, 0x1d454], // letters of mathematics, outside of the first plane
  [0x20000, 0x20100], // rare Han
];
const EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🇩🇪", "❤️", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🧑🏿‍🚀", "☃", "©️", "1️⃣"];
const SPACES = [" ", " ", " ", "  ", "   ", "\t", "\t\t", " \t ", "\u00a0", "\u3000", "\u2009", "        "];
const MARKS = [
  ",",
  ".",
  "!",
  "?",
  "...",
  "…",
  "—",
  "«",
  "»",
  "“",
  "”",
  "、",
  "。",
  "؟",
  "·",
  "'",
  '"',
  "(",
  ")",
  "#",
  "%",
];
const CODE = [
  "for (let i = 0; i < n; i++) {",
  "    return x->y[42];",
  "def f(a, *, b=None):",
  "\t\tif err != nil {",
  "SELECT * FROM t WHERE id='7';",
  "std::vector<int> v{1,2,3};",
  "x += 0x1F3A & ~mask;",
  "}}])",
  "=> ===  !== <= >> ||",
  "https://example.org/a/b?c=d&e=%20f#g",
  "user.name+tag@example.co.uk",
  "C:\\Users\\x\\file.txt",
  '<div class="a b">&nbsp;</div>',
  "$$\\frac{a}{b}$$",
];
const CONTRACTIONS = ["don't", "I'LL", "we've", "it'S", "you'd", "'twas", "o'clock", "they're", "I'm", "L'été"];
const COMBINED = ["e\u0301", "n\u0303", "a\u0308\u0323", "क्ष", "ก็", "\u200d", "\u200b", "\ufeff", "\u202e", "\u00ad"];

export function makeMultilingualLines(seed: number, count: number): string[] {
  const random = makeRandom(seed);
  return Array.from({ length: count }, () => makeLine(random));
}

function makeLine(random: (below: number) => number): string {
  const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T;
  const word = (): string => {
    const [first, last] = pick(SCRIPTS);
    return Array.from({ length: 1 + random(9) }, () => String.fromCodePoint(first + random(last - first + 1))).join("");
  };
  const number = (): string => {
    const digits = String(random(2 ** 31)).slice(0, 1 + random(10));
    return pick([
      digits,
      `-${digits}`,
      `${digits}.${random(1000)}`,
      `${digits}%`,
      `٣${digits}`,
      `½${digits}`,
      `1e${digits}`,
    ]);
  };
  const pieces: readonly (() => string)[] = [
    word,
    word,
    word,
    word,
    number,
    () => pick(EMOJI),
    () => pick(MARKS),
    () => pick(CODE),
    () => pick(CONTRACTIONS),
    () => pick(COMBINED),
  ];
  let line = random(5) === 0 ? pick(SPACES) : "";
  for (let left = 1 + random(14); left > 0; left--) line += pick(pieces)() + (random(4) === 0 ? "" : pick(SPACES));
  return random(6) === 0 ? `${line}${pick(["\n", "\r\n", "\n\n", " \n ", "\n\n\n\t"])}${word()}` : line;
}
