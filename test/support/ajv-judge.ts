// What Ajv says about values of a schema: the judge of what our own code says.

import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

/** In place of a fault: Ajv runs in circles. */
export const ENDLESS = "endless";

/** Null: Ajv refuses the schema. Else a value's first fault; null where there is none. */
export function judgeByAjv(schema: unknown): ((value: unknown) => string | null) | null {
  const ajv = new Ajv2020({ strict: false, logger: false, allowUnionTypes: true });
  addFormats.default(ajv);
  try {
    const validate = ajv.compile(schema as object);
    return (value) => {
      try {
        return validate(value) ? null : JSON.stringify(validate.errors?.[0]);
      } catch (thrown) {
        if (thrown instanceof RangeError) return ENDLESS;
        throw thrown;
      }
    };
  } catch {
    // Whatever it throws for: a schema that it does not take, or its own stack.
    return null;
  }
}
