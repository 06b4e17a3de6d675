// Files of the corpus with seeded damage: bytes changed, cut, doubled, numbers blown up, pieces of one put into another. The
// same seed makes the same file on every machine.

import { makeRandom } from "../support/random.ts";
import type { Fixture } from "./corpus-fixture.ts";

type Random = (below: number) => number;
type Mutator = (bytes: Uint8Array, random: Random, other: Uint8Array) => Uint8Array;

/** Numbers at which sizes and counts turn over. */
const EDGES: readonly (readonly number[])[] = [
  [0, 0, 0, 0],
  [255, 255, 255, 255],
  [255, 255, 255, 127],
  [0, 0, 0, 128],
  [1, 0, 0, 0],
  [255, 255, 255, 255, 255, 255, 255, 255],
  [0, 0, 0, 0, 0, 0, 0, 128],
  [255, 255, 255, 255, 255, 255, 31, 0],
  [0, 0, 0, 0, 1, 0, 0, 0],
];

const MUTATORS: readonly Mutator[] = [
  (bytes, random) => {
    const copy = bytes.slice();
    for (let count = 1 + random(8); count > 0; count--) copy[random(copy.length)] = random(256);
    return copy;
  },
  (bytes, random) => {
    const copy = bytes.slice();
    const at = random(copy.length);
    copy[at] = (copy[at] ?? 0) ^ (1 << random(8));
    return copy;
  },
  (bytes, random) => {
    const copy = bytes.slice();
    const edge = EDGES[random(EDGES.length)] ?? [];
    copy.set(edge.slice(0, copy.length), random(Math.max(1, copy.length - edge.length)));
    return copy;
  },
  (bytes, random) => bytes.slice(0, random(bytes.length + 1)),
  (bytes, random) => {
    const from = random(bytes.length);
    return concat(bytes.subarray(0, from), bytes.subarray(Math.min(bytes.length, from + 1 + random(64))));
  },
  (bytes, random) => {
    const from = random(bytes.length);
    const piece = bytes.subarray(from, from + 1 + random(128));
    return concat(bytes.subarray(0, from), piece, piece, bytes.subarray(from));
  },
  (bytes, random, other) => {
    const from = random(bytes.length);
    const at = random(other.length);
    return concat(bytes.subarray(0, from), other.subarray(at, at + 1 + random(256)), bytes.subarray(from));
  },
  // The beginnings of formats are the likeliest to lead somewhere.
  (bytes, random, other) => concat(other.subarray(0, random(64)), bytes.subarray(random(64))),
];

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** One to three mutations of one file of one fixture. */
export function mutate(fixtures: readonly Fixture[], seed: number): Fixture {
  const random = makeRandom(seed);
  const fixture = pick(fixtures, random);
  const name = pick(Object.keys(fixture.files), random);
  let bytes = fixture.files[name] ?? new Uint8Array();
  for (let count = 1 + random(3); count > 0 && bytes.length > 0; count--) {
    const donor = pick(fixtures, random);
    const other = donor.files[pick(Object.keys(donor.files), random)] ?? bytes;
    bytes = pick(MUTATORS, random)(bytes, random, other.length > 0 ? other : bytes);
  }
  return { ...fixture, name: `${fixture.name}, seed ${seed}`, files: { ...fixture.files, [name]: bytes } };
}

function pick<T>(items: readonly T[], random: Random): T {
  return items[random(items.length)] as T;
}
