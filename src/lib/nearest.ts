// Names close to a mistyped one, for hints in error messages. Pure.

/** Longer names are not compared: the distance costs the product of both lengths. */
const NAME_LENGTH_MAX = 128;

/** Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

/**
 * Up to `count` candidates that `name` may have meant, best first: few edits for its length,
 * or one is the beginning or a part of the other. Upper and lower case count as equal.
 */
export function findNearest(name: string, candidates: readonly string[], count = 3): string[] {
  const wanted = name.toLowerCase();
  if (wanted.length === 0 || wanted.length > NAME_LENGTH_MAX) return [];
  const editsMax = Math.max(1, Math.floor(wanted.length / 3));
  const scored: { candidate: string; score: number }[] = [];
  for (const candidate of new Set(candidates)) {
    const other = candidate.toLowerCase();
    if (other.length > NAME_LENGTH_MAX) continue;
    const distance = editDistance(wanted, other);
    const contains = wanted.length >= 3 && (other.includes(wanted) || (other.length >= 3 && wanted.includes(other)));
    if (distance <= editsMax) scored.push({ candidate, score: distance });
    else if (contains) scored.push({ candidate, score: editsMax + 1 + distance / NAME_LENGTH_MAX });
  }
  scored.sort((a, b) => a.score - b.score || (a.candidate < b.candidate ? -1 : 1));
  return scored.slice(0, count).map((entry) => entry.candidate);
}
