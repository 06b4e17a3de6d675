// What the detector calls convertible is what the converter takes.

import { expect, test } from "bun:test";
import { ARCHITECTURE_NAMES } from "../../src/convert/architectures/known.ts";
import { CONVERTIBLE_ARCHITECTURES } from "../../src/formats/convertible.ts";

test("the detector and the converter know the same architectures", () => {
  expect([...CONVERTIBLE_ARCHITECTURES.keys()].sort()).toEqual([...ARCHITECTURE_NAMES].sort());
});
