// What every parsed body must hold, whatever its schema: no nesting that a recursive reader can't follow, and only
// text that can be written as UTF-8. Both would else fail far from here, in JSON.stringify or in native code. Pure.

import { AppError } from "../protocol/errors.ts";

/** JSON schemas and tool calls of real clients stay below 30; schema converters, templates and parsers recurse. */
export const NESTING_MAX = 128;

/** Throws `invalid_request`. A level at a time and not by recursion: the nesting is what is in doubt. */
export function checkBodyShape(value: unknown): void {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > NESTING_MAX) throw invalid(`the body is nested deeper than ${NESTING_MAX} levels`);
    level = level.flatMap(collectNested);
  }
}

/** True when the text is JSON that is nested too deeply; text that is no JSON is not judged here. */
export function isJsonTooDeep(text: string): boolean {
  try {
    checkBodyShape(JSON.parse(text));
    return false;
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return false;
    if (thrown instanceof AppError) return true;
    throw thrown;
  }
}

/** The objects and arrays directly inside; checks the texts on the way. */
function collectNested(container: unknown): unknown[] {
  const nested: unknown[] = [];
  if (typeof container !== "object" || container === null) return nested;
  const items: readonly unknown[] = Array.isArray(container) ? container : Object.entries(container).flat();
  for (const item of items) {
    if (typeof item === "object" && item !== null) nested.push(item);
    else if (typeof item === "string" && !item.isWellFormed()) {
      throw invalid("a text of the body holds half of a surrogate pair, which is no Unicode");
    }
  }
  return nested;
}

function invalid(message: string): AppError {
  return new AppError({ code: "invalid_request", message });
}
