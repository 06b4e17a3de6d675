// Numbers between bounds, as a pattern of their text for the grammar: no exponent, and so few digits that every reader
// gets them exactly. Narrower than the bounds where that is simpler, never wider. Pure.

export interface DecimalBounds {
  min: number;
  max: number;
  minExcluded: boolean;
  maxExcluded: boolean;
}

/** Digits that a double keeps whatever they are. */
const DIGITS_MAX = 15;
/** Digits before the point where there is no bound. */
const WHOLE_DIGITS_MAX = 14;
const WHOLE_MAX = 10 ** WHOLE_DIGITS_MAX - 1;

/** A bound that is not negative: digits before and behind the point. */
interface Edge {
  whole: number;
  fraction: string;
  isExcluded: boolean;
}

/** Null: the bounds have more digits than this can compare, or nothing is between them. */
export function writeDecimals({ min, max, minExcluded, maxExcluded }: DecimalBounds): string | null {
  const alternatives: string[] = [];
  if (min < 0) {
    // Zero has no sign here, so that it comes once.
    const from = max < 0 ? readEdge(-max, maxExcluded) : { whole: 0, fraction: "", isExcluded: true };
    const to = readEdge(-min, minExcluded);
    if (from === null || to === null) return null;
    const negative = writeRange(from, to);
    if (negative.length > 0) alternatives.push(`\\x2D(${negative.join("|")})`);
  }
  if (max >= 0) {
    const from = min < 0 ? readEdge(0, false) : readEdge(min, minExcluded);
    const to = readEdge(max, maxExcluded);
    if (from === null || to === null) return null;
    alternatives.push(...writeRange(from, to));
  }
  return alternatives.length === 0 ? null : `^(${alternatives.join("|")})$`;
}

function readEdge(bound: number, isExcluded: boolean): Edge | null {
  if (bound === Number.POSITIVE_INFINITY) return { whole: WHOLE_MAX + 1, fraction: "", isExcluded: true };
  const [whole = "", fraction = ""] = String(bound).split(".");
  if (!/^\d+$/.test(whole) || !/^\d*$/.test(fraction)) return null;
  if (Number(whole) > WHOLE_MAX || whole.length + fraction.length >= DIGITS_MAX) return null;
  return { whole: Number(whole), fraction, isExcluded };
}

/** Alternatives of the numbers from one edge to another one. */
function writeRange(from: Edge, to: Edge): string[] {
  if (from.whole > to.whole) return [];
  if (from.whole === to.whole) return writeWithin(from, to);
  const alternatives: string[] = [];
  const startsWhole = from.fraction === "" && !from.isExcluded;
  if (!startsWhole) {
    const digits = from.fraction;
    const behind = writeFractions(from.whole, digits, from.isExcluded, "9".repeat(digits.length), false);
    alternatives.push(...behind.map((fraction) => `${from.whole}[.]${fraction}`));
  }
  alternatives.push(...writeWholes(startsWhole ? from.whole : from.whole + 1, to.whole - 1));
  if (to.fraction === "") {
    if (!to.isExcluded) alternatives.push(`${to.whole}([.]0)?`);
    return alternatives;
  }
  const below = writeFractions(to.whole, "0".repeat(to.fraction.length), false, to.fraction, true, to.isExcluded);
  return [...alternatives, `${to.whole}([.](${below.join("|")}))?`];
}

/** Both edges have the same digits before the point. */
function writeWithin(from: Edge, to: Edge): string[] {
  const length = Math.max(from.fraction.length, to.fraction.length);
  if (length === 0) return from.isExcluded || to.isExcluded ? [] : [`${from.whole}([.]0)?`];
  const [low, high] = [from.fraction.padEnd(length, "0"), to.fraction.padEnd(length, "0")];
  if (low > high || (low === high && (from.isExcluded || to.isExcluded))) return [];
  const fractions = writeFractions(from.whole, low, from.isExcluded, high, true, to.isExcluded);
  const alternatives = fractions.map((fraction) => `${from.whole}[.]${fraction}`);
  return from.fraction === "" && !from.isExcluded ? [String(from.whole), ...alternatives] : alternatives;
}

/**
 * Digits behind the point, from `low` to `high`, which are as long as each other. `ends`: nothing comes behind `high`;
 * else it is any digit, so that all below the next whole number is included.
 */
function writeFractions(
  whole: number,
  low: string,
  lowExcluded: boolean,
  high: string,
  ends: boolean,
  highExcluded = false,
): string[] {
  const rest = Math.max(0, DIGITS_MAX - String(whole).length - low.length);
  const any = rest === 0 ? "" : `[0-9]{0,${rest}}`;
  const nonZero = rest === 0 ? null : rest === 1 ? "[1-9]" : `[0-9]{0,${rest - 1}}[1-9]`;
  if (low === "") return nonZero === null ? [] : [nonZero];
  if (low === high) {
    if (!ends) return lowExcluded ? (nonZero === null ? [] : [low + nonZero]) : [low + any];
    return lowExcluded || highExcluded ? [] : [low];
  }
  const alternatives = lowExcluded ? (nonZero === null ? [] : [low + nonZero]) : [low + any];
  const last = ends ? step(high, -1) : high;
  const first = step(low, 1);
  if (first <= last) alternatives.push(...writeSameLength(first, last).map((digits) => digits + any));
  if (ends && !highExcluded) alternatives.push(high);
  return alternatives;
}

function step(digits: string, by: 1 | -1): string {
  return String(Number(digits) + by).padStart(digits.length, "0");
}

/** Whole numbers, each with digits behind the point or without. */
function writeWholes(from: number, to: number): string[] {
  const alternatives: string[] = [];
  for (let width = String(from).length; from <= to && width <= WHOLE_DIGITS_MAX; width++) {
    const first = Math.max(from, width === 1 ? 0 : 10 ** (width - 1));
    const last = Math.min(to, 10 ** width - 1);
    if (first > last) break;
    const wholes = writeSameLength(String(first), String(last));
    alternatives.push(`(${wholes.join("|")})([.][0-9]{1,${DIGITS_MAX - width}})?`);
  }
  return alternatives;
}

/** Texts of digits between two of the same length. */
function writeSameLength(from: string, to: string): string[] {
  const [low, high] = [from.charAt(0), to.charAt(0)];
  if (from.length <= 1) return [writeDigit(low, high)];
  const [lowRest, highRest] = [from.slice(1), to.slice(1)];
  if (low === high) return writeSameLength(lowRest, highRest).map((rest) => low + rest);
  const nines = "9".repeat(lowRest.length);
  const zeros = "0".repeat(lowRest.length);
  const alternatives: string[] = [];
  let [first, last] = [Number(low), Number(high)];
  if (lowRest !== zeros) {
    alternatives.push(...writeSameLength(lowRest, nines).map((rest) => low + rest));
    first++;
  }
  const ending = highRest === nines ? [] : writeSameLength(zeros, highRest).map((rest) => high + rest);
  if (ending.length > 0) last--;
  if (first <= last) alternatives.push(`${writeDigit(String(first), String(last))}[0-9]{${lowRest.length}}`);
  return [...alternatives, ...ending];
}

function writeDigit(low: string, high: string): string {
  return low === high ? low : `[${low}-${high}]`;
}
