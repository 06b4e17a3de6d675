// Another process's memory as Linux tells it.

import { expect, test } from "bun:test";
import { readProcessMemory } from "../../src/hardware/process-memory.ts";

const STATUS = "Name:\tbun\nVmRSS:\t  999 kB\nRssAnon:\t   10 kB\nRssFile:\t   20 kB\nRssShmem:\t    3 kB\n";
const only = (text: string | null) => () => text;

test("own, shared and mapped memory", () => {
  expect(readProcessMemory(7, only(STATUS))).toEqual({ anonBytes: 13 * 1024, mappedBytes: 20 * 1024 });
  expect(readProcessMemory(7, only(STATUS.replace(/RssShmem.*\n/, "")))?.anonBytes).toBe(10 * 1024);
});

test.each([[null], [""], ["Name:\tbun\nState:\tZ (zombie)\n"], ["RssAnon:\tmany kB\nRssFile:\t1 kB\n"]])(
  "nothing is known of %j",
  (text) => {
    expect(readProcessMemory(7, only(text))).toBeNull();
  },
);

test("this process has some, and one that is not there has none", () => {
  const own = readProcessMemory(process.pid);
  if (process.platform === "linux") expect(own?.anonBytes).toBeGreaterThan(1024 ** 2);
  else expect(own).toBeNull();
  expect(readProcessMemory(2 ** 30)).toBeNull();
});
