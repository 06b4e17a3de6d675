// From whom to take a beginning: the longest that is there, or to wait for one that is being read.

import { expect, test } from "bun:test";
import { choosePrefix, type Donor } from "../../../src/engine/prefix/prefix-choice.ts";

const donor = (seqId: number, usable: number, promised = usable, isLive = true): Donor => ({
  seqId,
  usable,
  promised,
  isLive,
});

test("nobody, or hardly anything: read it", () => {
  expect(choosePrefix([])).toEqual({ kind: "none" });
  expect(choosePrefix([donor(1, 3)])).toEqual({ kind: "none" });
});

test("the longest; of equal ones a kept sequence", () => {
  expect(choosePrefix([donor(1, 10), donor(2, 30), donor(3, 20)])).toEqual({ kind: "fork", donor: donor(2, 30) });
  const kept = donor(2, 30, 30, false);
  expect(choosePrefix([donor(1, 30), kept, donor(3, 30)])).toEqual({ kind: "fork", donor: kept });
  expect(choosePrefix([kept, donor(1, 30)])).toEqual({ kind: "fork", donor: kept });
});

test("waits where more is coming than it would take to read", () => {
  expect(choosePrefix([donor(1, 0, 32)])).toEqual({ kind: "wait", donor: donor(1, 0, 32) });
  expect(choosePrefix([donor(1, 0, 31)])).toEqual({ kind: "none" });
  expect(choosePrefix([donor(1, 10, 500), donor(2, 480, 480, false)]).kind).toBe("fork");
  expect(choosePrefix([donor(1, 10, 600), donor(2, 480, 480, false)]).kind).toBe("wait");
});
