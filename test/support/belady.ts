// The fewest loads that a sequence of requests can be served with when they are served in their order: Belady's MIN, which
// evicts whoever is asked for last in the future. All models have one size. Pure: what real schedules are compared with.

/** `places`: how many models there is room for. Counts the first loads too. */
export function countLeastLoads(sequence: readonly string[], places: number): number {
  const resident = new Set<string>();
  let loads = 0;
  sequence.forEach((key, at) => {
    if (resident.has(key)) return;
    loads += 1;
    if (resident.size >= places) {
      const nextUse = (model: string): number => {
        const next = sequence.indexOf(model, at + 1);
        return next === -1 ? Number.POSITIVE_INFINITY : next;
      };
      const last = [...resident].reduce((a, b) => (nextUse(b) > nextUse(a) ? b : a));
      resident.delete(last);
    }
    resident.add(key);
  });
  return loads;
}
