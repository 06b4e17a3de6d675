// The files of kept state: named by their tokens, under one budget, the longest unused first.

import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { KvFiles } from "../../../src/engine/disk/kv-files.ts";
import {
  fileOf,
  nameEnd,
  nameSlices,
  parseName,
  type SliceName,
  tokensUpTo,
} from "../../../src/engine/disk/kv-names.ts";
import { KvFolder } from "../../support/kv-folder.ts";

const SLICE = 4;
const BYTES = 100;

const namesOf = (...tokens: number[]): SliceName[] => nameSlices(Int32Array.from(tokens), SLICE, "root");
const hashes = (names: readonly SliceName[]): string[] => names.map(({ hash }) => hash);
const chain = (first: number, slices: number): SliceName[] =>
  namesOf(...Array.from({ length: SLICE * slices }, (_, i) => first + i));

function write(files: KvFiles, names: readonly SliceName[], usedMs: number): void {
  for (const name of names) {
    writeFileSync(files.pathOf(name), "x".repeat(BYTES));
    files.add(name, BYTES, usedMs);
  }
}

describe("names", () => {
  test("are of whole slices, and hang on all tokens before", () => {
    expect(namesOf(1, 2, 3)).toEqual([]);
    const long = namesOf(1, 2, 3, 4, 5, 6, 7, 8, 9);
    expect(long).toHaveLength(2);
    expect(long[0]).toEqual(namesOf(1, 2, 3, 4)[0] as SliceName);
    expect(long[1]?.parent).toBe(long[0]?.hash ?? "");
    expect(namesOf(0, 2, 3, 4, 5, 6, 7, 8)[1]?.hash).not.toBe(long[1]?.hash ?? "");
    expect(long.map(({ depth }) => depth)).toEqual([1, 2]);
  });
});

describe("ends", () => {
  const tokens = Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);
  const slices = nameSlices(tokens, SLICE, "root");
  const end = nameEnd(tokens, slices, SLICE, "root");

  test("are named by all tokens, and are no slices", () => {
    expect(end).toMatchObject({ parent: slices[1]?.hash, depth: 2, extra: 1 });
    expect([tokensUpTo(end, SLICE), tokensUpTo(slices[1] as SliceName, SLICE)]).toEqual([9, 8]);
    const atSlice = nameEnd(tokens.slice(0, 8), slices, SLICE, "root");
    expect(atSlice.hash).not.toBe(slices[1]?.hash ?? "");
    expect(nameEnd(tokens.slice(0, 3), [], SLICE, "root")).toMatchObject({ parent: "root", depth: 0, extra: 3 });
    for (const name of [end, atSlice, ...slices]) expect(parseName(fileOf(name))).toEqual(name);
    for (const file of [`${fileOf(end)}x`, fileOf(end).replace("+1", "+"), fileOf(end).replace("+1", "+-1")])
      expect(parseName(file)).toBeNull();
  });

  test("are found by the slice that they follow on, the longest first, and go with it", () => {
    using folder = new KvFolder();
    const files = new KvFiles(folder.path, "m", 1e6);
    const longer = nameEnd(Int32Array.of(...tokens, 10), slices, SLICE, "root");
    write(files, [...slices, end, longer], 1000);
    expect(files.endsAfter(end.parent)).toEqual([longer, end]);
    expect(new KvFiles(folder.path, "m", 1e6).endsAfter(end.parent)).toEqual([longer, end]);
    expect(files.endsAfter("root")).toEqual([]);
    files.discard(longer.hash);
    expect(files.endsAfter(end.parent)).toEqual([end]);
    files.discard(slices[0]?.hash ?? "");
    expect([files.endsAfter(end.parent), files.count, files.bytes]).toEqual([[], 0, 0]);
  });

  test("go before the slices that they need", () => {
    using folder = new KvFolder();
    const files = new KvFiles(folder.path, "m", 3 * BYTES);
    write(files, [...slices, end], 1000);
    expect(files.makeRoom(BYTES, 2000)).toBe(true);
    expect([files.endsAfter(end.parent), files.countLeading(hashes(slices))]).toEqual([[], 2]);
  });
});

describe("files", () => {
  test("are found again by the next process, with their age", () => {
    using folder = new KvFolder();
    const names = chain(0, 3);
    write(new KvFiles(folder.path, "m", 1e6), names, 1_600_000_000_000);
    const again = new KvFiles(folder.path, "m", 1e6);
    expect([again.count, again.bytes]).toEqual([3, 3 * BYTES]);
    expect(again.countLeading(hashes(names))).toBe(3);
    expect(again.ends()).toEqual([{ name: names[2] as SliceName, usedMs: 1_600_000_000_000 }]);
    again.touch(hashes(names), 1_600_000_001_000);
    again.touch(hashes(names), 1_600_000_000_500);
    expect(statSync(again.pathOf(names[0] as SliceName)).mtimeMs).toBe(1_600_000_001_000);
  });

  test("count up to the first that is missing", () => {
    using folder = new KvFolder();
    const files = new KvFiles(folder.path, "m", 1e6);
    const names = chain(0, 4);
    write(files, [names[0], names[2]] as SliceName[], 1);
    expect(files.countLeading(hashes(names))).toBe(1);
    expect(files.countLeading(hashes(chain(9, 4)))).toBe(0);
  });

  test("of another model are no use, but count", () => {
    using folder = new KvFolder();
    write(new KvFiles(folder.path, "other", 1e6), chain(0, 2), 1);
    const files = new KvFiles(folder.path, "m", 1e6);
    expect([files.count, files.bytes]).toEqual([0, 2 * BYTES]);
    expect(files.countLeading(hashes(chain(0, 2)))).toBe(0);
  });

  test("with other names are left alone, and what a killed writer left goes", () => {
    using folder = new KvFolder();
    mkdirSync(join(folder.path, "m"));
    const draft = `${"a".repeat(32)}-root-1.kv.part-`;
    // No process has a number this large; that of this one was another's before.
    for (const file of ["notes.txt", `${draft}999999999`, `${draft}${process.pid}`, `${draft}${process.ppid}`]) {
      writeFileSync(join(folder.path, "m", file), "x");
    }
    const files = new KvFiles(folder.path, "m", 1e6);
    expect([files.count, files.bytes]).toEqual([0, 0]);
    expect(readdirSync(join(folder.path, "m")).toSorted()).toEqual([`${draft}${process.ppid}`, "notes.txt"]);
  });

  test("that can't be trusted go with what goes on from them", () => {
    using folder = new KvFolder();
    const files = new KvFiles(folder.path, "m", 1e6);
    const names = chain(0, 3);
    write(files, names, 1);
    files.discard(names[1]?.hash ?? "");
    files.discard("unknown");
    expect([files.count, files.bytes]).toEqual([1, BYTES]);
    expect(readdirSync(files.folder)).toHaveLength(1);
  });

  test("need a folder", () => {
    using folder = new KvFolder();
    writeFileSync(join(folder.path, "file"), "");
    expect(() => new KvFiles(join(folder.path, "file"), "m", 1e6)).toThrow();
  });
});

describe("the budget", () => {
  test("takes the longest unused first, of one chain the end first, whichever model it is of", () => {
    using folder = new KvFolder();
    write(new KvFiles(folder.path, "other", 1e6), chain(50, 1), 1000);
    const files = new KvFiles(folder.path, "m", 5 * BYTES);
    const [old, recent] = [chain(0, 2), chain(100, 2)];
    write(files, old, 2000);
    write(files, recent, 3000);
    expect(files.makeRoom(BYTES, 9000)).toBe(true);
    expect(readdirSync(join(folder.path, "other"))).toEqual([]);
    expect(files.makeRoom(2 * BYTES, 9000)).toBe(true);
    expect([files.countLeading(hashes(old)), files.countLeading(hashes(recent))]).toEqual([1, 2]);
    expect(files.bytes).toBe(3 * BYTES);
  });

  test("holds for all engines together, each with a folder of its own", () => {
    using folder = new KvFolder();
    const engines = ["a", "b", "c"].map((model) => new KvFiles(folder.path, model, 4 * BYTES));
    let usedMs = 1000;
    for (let first = 0; first < 90; first += 30) {
      for (const files of engines) {
        for (const name of chain(first, 2)) {
          expect(files.makeRoom(BYTES, ++usedMs)).toBe(true);
          write(files, [name], usedMs);
          const onDisk = ["a", "b", "c"].flatMap((model) => readdirSync(join(folder.path, model)));
          expect(onDisk.length).toBeLessThanOrEqual(4);
        }
      }
    }
    // What is there in the end is what was used last, whoever wrote it.
    expect(engines.map((files) => files.countLeading(hashes(chain(60, 2))))).toEqual([2, 2, 2]);
    for (const files of engines) files.makeRoom(0, usedMs);
    expect(engines.map((files) => [files.count, files.bytes])).toEqual([
      [0, 4 * BYTES],
      [2, 4 * BYTES],
      [2, 4 * BYTES],
    ]);
  });

  test("spares what another engine has used since", () => {
    using folder = new KvFolder();
    const theirs = new KvFiles(folder.path, "theirs", 1e6);
    write(theirs, chain(0, 1), 1000);
    const ours = new KvFiles(folder.path, "ours", 2 * BYTES);
    write(ours, chain(50, 1), 2000);
    theirs.touch(hashes(chain(0, 1)), 3000);
    expect(ours.makeRoom(BYTES, 9000)).toBe(true);
    expect([readdirSync(theirs.folder).length, ours.count]).toEqual([1, 0]);
  });

  test("counts what a folder that goes held no more", () => {
    using folder = new KvFolder();
    write(new KvFiles(folder.path, "gone", 1e6), chain(0, 3), 1000);
    const files = new KvFiles(folder.path, "m", 1e6);
    expect(files.bytes).toBe(3 * BYTES);
    rmSync(join(folder.path, "gone"), { recursive: true });
    expect([files.makeRoom(BYTES, 1), files.bytes]).toEqual([true, 0]);
    rmSync(folder.path, { recursive: true });
    expect(files.makeRoom(BYTES, 1)).toBe(true);
    mkdirSync(folder.path);
  });

  test("has no room for what is older than all that is there", () => {
    using folder = new KvFolder();
    const files = new KvFiles(folder.path, "m", 2 * BYTES);
    write(files, chain(0, 2), 2000);
    expect(files.makeRoom(BYTES, 2000)).toBe(false);
    expect(files.makeRoom(BYTES, 1000)).toBe(false);
    expect(files.count).toBe(2);
    expect(files.makeRoom(3 * BYTES, 3000)).toBe(false);
  });
});
