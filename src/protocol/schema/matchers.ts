// The expressions of one schema, each compiled once; what they cost is taken from the work that the schema's owner counts.
// Pure.

import { Matcher } from "./matcher.ts";

/** Whether a pattern matches somewhere in a text; null: that can't be told in bounded time. */
export type Matches = (pattern: string, text: string) => boolean | null;

/** Steps of matching, and of compiling, that cost as much as a unit of work. */
const STEPS_PER_WORK = 6;
/** Of one text. */
const STEPS_MAX = 2_000_000;
/** What a pattern costs that is not supported: it may have been read for long. */
const REFUSED_WORK = 500;

export function createMatches(work: { left: number }): Matches {
  const compiled = new Map<string, Matcher | null>();
  const compile = (pattern: string): Matcher | null => {
    const known = compiled.get(pattern);
    if (known !== undefined) return known;
    const matcher = Matcher.compile(pattern);
    work.left -= matcher === null ? REFUSED_WORK : (pattern.length + matcher.size) / STEPS_PER_WORK;
    compiled.set(pattern, matcher);
    return matcher;
  };
  return (pattern, text) => {
    if (work.left <= 0) return null;
    const matcher = compile(pattern);
    if (matcher === null) return null;
    const steps = { left: Math.min(STEPS_MAX, work.left * STEPS_PER_WORK) };
    const before = steps.left;
    const isMatch = matcher.test(text, steps);
    work.left -= (before - Math.max(0, steps.left)) / STEPS_PER_WORK;
    return isMatch;
  };
}
