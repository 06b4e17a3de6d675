// Lowered schemas through llama.cpp's own converter: it never throws for one, takes what the schema takes, and, where
// nothing was relaxed, takes nothing else. Random schemas, and those that agents send.

import { beforeAll, describe, expect, test } from "bun:test";
import type { NativeLibrary } from "../../src/ffi/library.ts";
import { lowerSchema } from "../../src/protocol/schema/lower.ts";
import { AGENT_SCHEMAS } from "../support/agent-schemas.ts";
import { ENDLESS, judgeByAjv } from "../support/ajv-judge.ts";
import { HAS_NATIVE, openLlama } from "../support/llama-library.ts";
import { makeRandom } from "../support/random.ts";
import { makeSchema } from "../support/random-schemas.ts";
import { Sampler } from "../support/schema-samples.ts";

const RANDOM_SCHEMAS = 1500;
const SAMPLES = 3;
/** Values that most schemas refuse. */
const STRAYS = [null, true, 0, -3.5, 1e9, "", "a", 'x"\\\n', [], [1], [null, "a", {}], {}, { a: 1 }, { a: "b", z: [] }];

describe.skipIf(!HAS_NATIVE)("lowered schemas as grammars", () => {
  let library: NativeLibrary;
  beforeAll(async () => {
    ({ library } = await openLlama());
  });

  /** Null: all is well; else what is not. */
  function findFault(source: unknown, seed: number): string | null {
    const random = makeRandom(seed);
    const { schema, relaxed } = lowerSchema(source, { name: "t" });
    const sampler = new Sampler(schema, random);
    const samples = Array.from({ length: SAMPLES }, () => sampler.sample(schema));
    const about = `${JSON.stringify(source)}, lowered to ${JSON.stringify(schema)}`.slice(0, 3000);
    for (const sample of samples) {
      const text = JSON.stringify(sample);
      if (!library.schemaAccepts(schema, text)) return `${text} is not accepted by ${about}`;
    }
    const judge = relaxed.length === 0 ? judgeByAjv(source) : null;
    if (judge === null) return null;
    for (const stray of STRAYS) {
      const fault = library.schemaAccepts(schema, JSON.stringify(stray)) ? judge(stray) : null;
      if (fault !== null && fault !== ENDLESS) return `${JSON.stringify(stray)} is accepted by ${about}: ${fault}`;
    }
    return null;
  }

  test(`${RANDOM_SCHEMAS} random ones`, () => {
    for (let seed = 0; seed < RANDOM_SCHEMAS; seed++) {
      const fault = findFault(makeSchema(makeRandom(seed)), seed);
      if (fault !== null) expect(`seed ${seed}: ${fault}`).toBe("well");
    }
  });

  test("2,000 optional properties, and as many patterns, become a grammar soon", () => {
    const named = (child: object) => Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`p${i}`, child]));
    const wide = { type: "object", properties: named({ type: "string" }) };
    const patterned = { type: "object", properties: named({ type: "string", pattern: "^[a-c]{2,5}(x|y)?$" }) };
    for (const source of [wide, patterned]) {
      const { schema, relaxed } = lowerSchema(source, { name: "t" });
      expect(relaxed).toEqual([]);
      const start = performance.now();
      expect(library.schemaAccepts(schema, '{"p3":"abx","p1999":"bcy"}')).toBe(true);
      expect(library.schemaAccepts(schema, '{"p3":1}')).toBe(false);
      expect(performance.now() - start).toBeLessThan(4000);
    }
  });

  test.each(Object.entries(AGENT_SCHEMAS))("%s", (_, source) => {
    for (let seed = 0; seed < 10; seed++) expect(findFault(source, seed)).toBeNull();
  });
});
