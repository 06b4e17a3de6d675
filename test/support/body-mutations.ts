// A valid body → every body that differs from it in one value, with which place it was. For routes that must answer or
// refuse by name whatever comes.

import type { Json } from "./http-app.ts";

/** Of each JSON type, at and past the edges of what schemas take. */
const ODD_VALUES: readonly unknown[] = [
  null,
  0,
  -1,
  0.5,
  1e300,
  "",
  "\u0000",
  "long".repeat(500),
  false,
  [],
  [null],
  [[0]],
  {},
  { type: 7, role: "x" },
];

type Place = readonly (string | number)[];

export function* mutateBody(body: Json): Generator<{ at: string; mutant: Json }> {
  for (const place of listPlaces(body, [])) {
    for (const value of ODD_VALUES) {
      const mutant = structuredClone(body);
      let parent = mutant;
      for (const key of place.slice(0, -1)) parent = parent[key];
      parent[place.at(-1) as string] = value;
      yield { at: `${place.join(".")} = ${JSON.stringify(value).slice(0, 30)}`, mutant };
    }
  }
}

/** Every value inside, also those that hold others. */
function listPlaces(value: unknown, place: Place): Place[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const at = [...place, Array.isArray(value) ? Number(key) : key];
    return [at, ...listPlaces(inner, at)];
  });
}
