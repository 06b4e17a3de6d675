// Memory by where it lies: the host's, and each device's, always in the same order. Pure arithmetic on such lists.

/** Bytes in each pool; what is left out at the end is 0. */
export type PoolBytes = readonly number[];

/** Null: no limit is known. */
export type PoolBudgets = readonly (number | null)[];

export function addPools(parts: readonly PoolBytes[], count: number): number[] {
  return Array.from({ length: count }, (_, pool) => parts.reduce((sum, part) => sum + (part[pool] ?? 0), 0));
}

/** What is left of each budget; without a limit all there is. */
export function leftOf(budgets: PoolBudgets, used: PoolBytes): number[] {
  return budgets.map((budget, pool) => (budget ?? Number.POSITIVE_INFINITY) - (used[pool] ?? 0));
}

/** The first pool in which `need` has no room beside what is there; null: it has room in all. */
export function findShortage(
  need: PoolBytes,
  taken: readonly PoolBytes[],
  budgets: PoolBudgets,
): { pool: number; leftBytes: number } | null {
  const left = leftOf(budgets, addPools(taken, budgets.length));
  const pool = left.findIndex((bytes, at) => (need[at] ?? 0) > Math.max(0, bytes));
  return pool < 0 ? null : { pool, leftBytes: Math.max(0, left[pool] ?? 0) };
}

export function sumPools(bytes: PoolBytes): number {
  return bytes.reduce((sum, part) => sum + part, 0);
}
