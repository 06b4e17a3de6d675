// Files of a model's folder with something wrong in them: one value of their JSON, or some of their bytes.

import type { makeRandom } from "./random.ts";

type Random = ReturnType<typeof makeRandom>;

const ODD_VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1,
  3,
  0.5,
  1e308,
  2 ** 31,
  2 ** 53,
  "",
  "x",
  "../../x",
  [],
  [[]],
  {},
  { a: 1 },
  "\ud800",
  "__proto__",
];

/** One value replaced or left out, somewhere. */
function mutateJson(value: unknown, random: Random): unknown {
  const places: { holder: Record<string, unknown>; key: string }[] = [];
  const copy = { root: structuredClone(value) } as Record<string, unknown>;
  const visit = (holder: Record<string, unknown>) => {
    for (const [key, inner] of Object.entries(holder)) {
      places.push({ holder, key });
      if (typeof inner === "object" && inner !== null) visit(inner as Record<string, unknown>);
    }
  };
  visit(copy);
  // Half of them near the top, where most of the meaning is.
  const bound = random(2) === 0 ? Math.min(places.length, 30) : places.length;
  const { holder, key } = places[random(bound)] as (typeof places)[number];
  if (random(4) === 0 && holder !== copy && !Array.isArray(holder)) delete holder[key];
  else holder[key] = ODD_VALUES[random(ODD_VALUES.length)];
  return copy.root;
}

/** Bytes changed near the beginning, where headers are, or the end cut off. */
function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = bytes.slice();
  if (random(5) === 0) return copy.subarray(0, random(copy.length));
  const bound = Math.min(copy.length, 1 + random(6000));
  for (let count = 1 + random(3); count > 0; count--) copy[random(bound)] = random(256);
  return copy;
}

/** JSON is mostly changed as such, everything else in its bytes. */
export function mutateFile(name: string, bytes: Uint8Array, random: Random): string | Uint8Array {
  const asJson = name.endsWith(".json") && random(4) !== 0;
  if (!asJson) return mutateBytes(bytes, random);
  return JSON.stringify(mutateJson(JSON.parse(new TextDecoder().decode(bytes)), random));
}
