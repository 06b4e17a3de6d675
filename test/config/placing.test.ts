// Where layers lie: shares from every source come out as parts of 1, and what is no share is named.

import { expect, test } from "bun:test";
import { resolveConfig } from "../../src/config.ts";

const folders = { config: "/c", data: "/d", state: "/s", cache: "/k" };

function sharesOf(from: { flag?: string[]; env?: string; file?: string }): readonly number[] {
  const flags = new Map(from.flag === undefined ? [] : [["device_shares", from.flag]]);
  const env = from.env === undefined ? {} : { ML_OFFLOAD_DEVICE_SHARES: from.env };
  const file = from.file === undefined ? null : { path: "/c/config.yaml", text: from.file };
  return resolveConfig({ flags, env, folders, cwd: "/" }, file).values.deviceShares;
}

test("shares are parts of 1, wherever they come from", () => {
  expect(sharesOf({ flag: ["3,1"] })).toEqual([0.75, 0.25]);
  expect(sharesOf({ flag: ["1.5", "0", "1.5"] })).toEqual([0.5, 0, 0.5]);
  expect(sharesOf({ env: "1,4" })).toEqual([0.2, 0.8]);
  expect(sharesOf({ file: "device_shares: [1, 1]\n" })).toEqual([0.5, 0.5]);
  expect(sharesOf({ file: 'device_shares: ["1,3"]\n' })).toEqual([0.25, 0.75]);
});

test("none, or nothing but zeros, leave it to free memory", () => {
  expect(sharesOf({})).toEqual([]);
  expect(sharesOf({ flag: ["0,0"] })).toEqual([]);
});

test("what is no share is refused", () => {
  for (const flag of [["a"], ["1,"], ["-1,2"], [Array(17).fill(1).join(",")]]) {
    expect(() => sharesOf({ flag })).toThrow(/--device-shares must be up to 16 numbers/);
  }
});
