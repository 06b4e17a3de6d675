// The promise of lowering, on random schemas: it ends, it throws nothing, and where it reports no relaxation, whatever
// follows the lowered schema is valid by the schema that came. Ajv is the judge.

import { expect, test } from "bun:test";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { lowerSchema } from "../../../src/protocol/schema/lower.ts";
import { makeRandom } from "../../support/random.ts";
import { makeSchema } from "../../support/random-schemas.ts";
import { Sampler } from "../../support/schema-samples.ts";

const SCHEMAS = 1500;
const SAMPLES = 4;

/** Null: Ajv refuses the schema. Where it runs in circles, nothing is wrong with the value. */
function judge(schema: object): ((value: unknown) => string | null) | null {
  const ajv = new Ajv2020({ strict: false, logger: false, allowUnionTypes: true });
  addFormats.default(ajv);
  try {
    const validate = ajv.compile(schema);
    return (value) => {
      try {
        return validate(value) ? null : JSON.stringify(validate.errors?.[0]);
      } catch (thrown) {
        if (thrown instanceof RangeError) return null;
        throw thrown;
      }
    };
  } catch {
    return null;
  }
}

test(`${SCHEMAS} random schemas: what is not relaxed is kept`, () => {
  let exact = 0;
  let refused = 0;
  for (let seed = 0; seed < SCHEMAS; seed++) {
    const random = makeRandom(seed);
    const source = makeSchema(random);
    const { schema, relaxed } = lowerSchema(source);
    if (relaxed.length > 0) continue;
    const findFault = judge(source);
    if (findFault === null) {
      refused++;
      continue;
    }
    exact++;
    const sampler = new Sampler(schema, random);
    for (let i = 0; i < SAMPLES; i++) {
      const value = sampler.sample(schema);
      const fault = findFault(value);
      if (fault === null) continue;
      const [came, went] = [JSON.stringify(source), JSON.stringify(schema)];
      expect(`seed ${seed}: ${JSON.stringify(value)} breaks ${came}, lowered to ${went}: ${fault}`).toBe("valid");
    }
  }
  expect(exact).toBeGreaterThan(SCHEMAS / 4);
  expect(refused).toBeLessThan(SCHEMAS / 20);
});
