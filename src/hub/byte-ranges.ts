// Which bytes of a file are there: sorted ranges that do not touch. Pure.

/** From the first byte to before the second. */
export type ByteRange = readonly [start: number, end: number];

export function addRange(have: readonly ByteRange[], [start, end]: ByteRange): ByteRange[] {
  if (end <= start) return [...have];
  const apart = have.filter(([from, to]) => to < start || from > end);
  const touching = have.filter(([from, to]) => to >= start && from <= end);
  const merged: ByteRange = [
    Math.min(start, ...touching.map(([from]) => from)),
    Math.max(end, ...touching.map(([, to]) => to)),
  ];
  return [...apart, merged].sort(([a], [b]) => a - b);
}

/** What is not there, in pieces of a bounded length. */
export function missingRanges(have: readonly ByteRange[], sizeBytes: number, pieceBytesMax: number): ByteRange[] {
  const pieces: ByteRange[] = [];
  const cut = (from: number, to: number): void => {
    for (let at = from; at < to; at += pieceBytesMax) pieces.push([at, Math.min(to, at + pieceBytesMax)]);
  };
  let at = 0;
  for (const [start, end] of have) {
    cut(at, start);
    at = end;
  }
  cut(at, sizeBytes);
  return pieces;
}

export function countBytes(have: readonly ByteRange[]): number {
  return have.reduce((sum, [start, end]) => sum + end - start, 0);
}

/** Ranges as `addRange` leaves them, within a file of this size: what is read back from a disk may be anything. */
export function areRanges(value: unknown, sizeBytes: number): value is ByteRange[] {
  let at = -1;
  return (
    Array.isArray(value) &&
    value.every((range: unknown) => {
      if (!Array.isArray(range) || range.length !== 2 || !range.every(Number.isSafeInteger)) return false;
      const [start, end] = range as [number, number];
      const fits = start > at && end > start && start >= 0 && end <= sizeBytes;
      at = end;
      return fits;
    })
  );
}
