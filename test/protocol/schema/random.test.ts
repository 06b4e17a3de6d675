// The promise of lowering, on random schemas: it ends, it throws nothing, and where it reports no relaxation, whatever
// follows the lowered schema is valid by the schema that came. Ajv is the judge.

import { expect, test } from "bun:test";
import { lowerSchema } from "../../../src/protocol/schema/lower.ts";
import { ENDLESS, judgeByAjv } from "../../support/ajv-judge.ts";
import { makeRandom } from "../../support/random.ts";
import { makeSchema } from "../../support/random-schemas.ts";
import { Sampler } from "../../support/schema-samples.ts";

const SCHEMAS = 1500;
const SAMPLES = 4;

test(`${SCHEMAS} random schemas: what is not relaxed is kept`, () => {
  let exact = 0;
  let refused = 0;
  for (let seed = 0; seed < SCHEMAS; seed++) {
    const random = makeRandom(seed);
    const source = makeSchema(random);
    const { schema, relaxed } = lowerSchema(source);
    if (relaxed.length > 0) continue;
    const findFault = judgeByAjv(source);
    if (findFault === null) {
      refused++;
      continue;
    }
    exact++;
    const sampler = new Sampler(schema, random);
    for (let i = 0; i < SAMPLES; i++) {
      const value = sampler.sample(schema);
      const fault = findFault(value);
      if (fault === null || fault === ENDLESS) continue;
      const [came, went] = [JSON.stringify(source), JSON.stringify(schema)];
      expect(`seed ${seed}: ${JSON.stringify(value)} breaks ${came}, lowered to ${went}: ${fault}`).toBe("valid");
    }
  }
  expect(exact).toBeGreaterThan(SCHEMAS / 4);
  expect(refused).toBeLessThan(SCHEMAS / 20);
});
