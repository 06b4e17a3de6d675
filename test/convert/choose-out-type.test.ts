// Which type a model is converted to that shall only be served.

import { expect, test } from "bun:test";
import { chooseOutType, LOAD_TYPES, type LoadType } from "../../src/convert/choose-out-type.ts";

const GB = 1e9;

test.each([
  ["fits as it is", 1e9, 2.1 * GB, "auto"],
  ["fits with 8 bits", 1e9, 1.4 * GB, "q8_0"],
  ["fits with 6 bits", 1e9, 0.84 * GB, "q6_k"],
  ["fits with 5 bits", 1e9, 0.77 * GB, "q5_k_m"],
  ["fits with 4 bits", 1e9, 0.7 * GB, "q4_k_m"],
  ["does not fit at all", 70e9, 1.4 * GB, "q4_k_m"],
  ["memory is not known", 70e9, null, "auto"],
  ["size is not known", null, 1, "auto"],
] as const)("%s", (_, parameters, memory, expected) => {
  expect(chooseOutType(parameters, memory)).toBe(expected);
});

test("of more types the largest that fits, to the last byte", () => {
  const types: LoadType[] = [...LOAD_TYPES.slice(0, 2), { outType: "q4_k_m", bytesPerWeight: 0.6 }];
  expect(chooseOutType(1e9, 1.05 * GB, types)).toBe("q4_k_m");
  expect(chooseOutType(7e8, 1.4 * GB, types)).toBe("auto");
  expect(chooseOutType(7e8 + 1, 1.4 * GB, types)).toBe("q8_0");
});
