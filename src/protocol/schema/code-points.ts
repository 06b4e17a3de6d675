// Sets of characters as sorted ranges of code points, and how the grammar writes them inside of a JSON text: a quotation
// mark, a backslash and control characters stand there as escapes, so they are no members of a class. Pure.

/** First and last code point, both included; sorted and apart from each other. */
export type Ranges = readonly (readonly [number, number])[];

const LAST = 0x10ffff;
/** What a JSON text holds as it is: no controls, no `"`, no `\`, no half of a surrogate pair. */
const PLAIN: Ranges = [
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, 0x7e],
  [0x80, 0xd7ff],
  [0xe000, LAST],
];
/** Those that are written as a backslash and one more character. */
const ESCAPED: readonly (readonly [number, string])[] = [
  [0x22, "\\x22"],
  [0x5c, "\\x5C"],
  [0x0a, "n"],
  [0x0d, "r"],
  [0x09, "t"],
];
const BACKSLASH = "\\x5C";

export function normalize(ranges: Ranges): Ranges {
  const merged: [number, number][] = [];
  for (const [from, to] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged;
}

export function complement(ranges: Ranges): Ranges {
  const rest: [number, number][] = [];
  let next = 0;
  for (const [from, to] of normalize(ranges)) {
    if (from > next) rest.push([next, from - 1]);
    next = to + 1;
  }
  if (next <= LAST) rest.push([next, LAST]);
  return rest;
}

function common(a: Ranges, b: Ranges): Ranges {
  return a.flatMap(([from, to]) =>
    b.flatMap(([low, high]): Ranges => {
      const first = Math.max(from, low);
      const last = Math.min(to, high);
      return first <= last ? [[first, last]] : [];
    }),
  );
}

/** One character of the set, in the pattern language of llama.cpp's converter. Null: JSON can't hold any of them. */
export function writeSet(ranges: Ranges): string | null {
  const set = normalize(ranges);
  const plain = common(set, PLAIN);
  const escaped = ESCAPED.filter(([code]) => set.some(([from, to]) => from <= code && code <= to));
  const options = escaped.map(([, text]) => BACKSLASH + text);
  if (plain.length > 0) options.unshift(`[${plain.map(writeRange).join("")}]`);
  if (options.length === 0) return null;
  return options.length === 1 && plain.length > 0 ? (options[0] ?? null) : `(${options.join("|")})`;
}

function writeRange([from, to]: readonly [number, number]): string {
  return from === to ? writeCode(from) : `${writeCode(from)}-${writeCode(to)}`;
}

/** What begins a tag: a text without it ends where its tag does. */
const TAG_START = 0x3c;

/** One character of the set, in GBNF, as a text has it that is not in JSON. Null: one of them might begin a tag. */
export function writePlainSet(ranges: Ranges): string | null {
  const set = normalize(ranges);
  if (set.length === 0 || set.some(([from, to]) => from <= TAG_START && TAG_START <= to)) return null;
  return `[${set.map(writeRange).join("")}]`;
}

export function writePlainLiteral(code: number): string | null {
  return code === TAG_START ? null : `"${writeCode(code)}"`;
}

/** Letters and digits as they are, all else by number: neither grammar nor converter gives those a meaning. */
function writeCode(code: number): string {
  const text = String.fromCodePoint(code);
  if (/[A-Za-z0-9]/.test(text)) return text;
  const hex = code.toString(16).toUpperCase();
  if (code <= 0xff) return `\\x${hex.padStart(2, "0")}`;
  return code <= 0xffff ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

/** A character that is itself, as JSON holds it. Null: JSON can't, or only by number. */
export function writeLiteral(code: number): string | null {
  const escaped = ESCAPED.find(([other]) => other === code);
  if (escaped !== undefined) return BACKSLASH + escaped[1];
  return PLAIN.some(([from, to]) => from <= code && code <= to) ? writeCode(code) : null;
}
