// In which line of a JSON or YAML text a key or a mistake stands, for messages to people: the parsers don't tell. Pure, and a
// search by words: where a key's name stands more than once, the line is that of the first one behind its parents.

/** 1-based; null: not found, such as a key that is missing. */
export function findKeyLine(text: string, keys: readonly PropertyKey[]): number | null {
  const lines = text.split("\n");
  let line = -1;
  for (const key of keys) {
    // Items of lists have no names.
    if (typeof key !== "string") continue;
    const pattern = new RegExp(`(^|[\\s{,])(["']?)${escapePattern(key)}\\2\\s*:`);
    const found = lines.findIndex((content, at) => at >= Math.max(0, line) && pattern.test(content));
    if (found < 0) break;
    line = found;
  }
  return line < 0 ? null : line + 1;
}

/**
 * The line behind which no beginning of the text parses: near the mistake. Few steps, since each of them parses the
 * text up to a line.
 */
export function findMistakeLine(text: string, parse: (text: string) => unknown): number {
  const lines = text.split("\n");
  let good = 0;
  let bad = lines.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (parses(lines.slice(0, middle).join("\n"), parse)) good = middle;
    else bad = middle;
  }
  return bad;
}

function parses(text: string, parse: (text: string) => unknown): boolean {
  try {
    parse(text);
    return true;
  } catch (_mistake) {
    // That is the answer.
    return false;
  }
}

function escapePattern(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
