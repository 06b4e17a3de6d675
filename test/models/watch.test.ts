// Files that come and go while the server runs: seen by the system's notices, on real folders, and held back until they
// are whole. Time is moved by hand; only the notices themselves are waited for.

import { afterEach, describe, expect, test } from "bun:test";
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FolderWatch } from "../../src/models/folder-watch.ts";
import { ModelRegistry } from "../../src/models/registry.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { smallModel } from "../support/raw-gguf.ts";

const chat = smallModel();
const HALF = Math.floor(chat.length / 2);
/** A notice takes under a millisecond; a machine that is busy may be late. */
const NOTICE_MS_MAX = 5_000;

const open: FolderWatch[] = [];
afterEach(() => {
  for (const watch of open.splice(0)) watch.close();
});

function watched(folder: string) {
  const clock = new FakeClock(Date.now());
  const watch = new FolderWatch();
  open.push(watch);
  const registry = new ModelRegistry({ models: [], modelsDirs: [folder], demoPath: null, clock, watch });
  const ids = () => registry.list().map((entry) => entry.id);
  return { clock, watch, registry, ids };
}

const newFolder = () => mkdtempSync(join(tmpdir(), "mlo-watch-"));

async function untilNoticed(watch: FolderWatch): Promise<void> {
  const deadlineMs = performance.now() + NOTICE_MS_MAX;
  while (!watch.hasChanged) {
    if (performance.now() > deadlineMs) throw new Error("no notice came");
    await Bun.sleep(1);
  }
}

/** As of a file that was moved here: its date is old. */
function writeOld(path: string, bytes: Uint8Array): void {
  writeFileSync(path, bytes);
  utimesSync(path, new Date(1_600_000_000_000), new Date(1_600_000_000_000));
}

describe("a watched folder", () => {
  test("a file that appears is listed, and one that goes is gone, long before a view is old", async () => {
    const folder = newFolder();
    const { clock, watch, ids } = watched(folder);
    expect(ids()).toEqual([]);
    expect(watch.isComplete).toBe(true);
    writeOld(join(folder, "a.gguf"), chat);
    await untilNoticed(watch);
    clock.advance(500);
    expect(ids()).toEqual(["a"]);
    rmSync(join(folder, "a.gguf"));
    await untilNoticed(watch);
    clock.advance(500);
    expect(ids()).toEqual([]);
  });

  test("folders that appear are followed, and so are those whose parents come later", async () => {
    const root = newFolder();
    const folder = join(root, "not", "yet");
    const { clock, watch, ids } = watched(folder);
    expect(ids()).toEqual([]);
    for (const made of [join(root, "not"), folder, join(folder, "inner")]) {
      mkdirSync(made);
      await untilNoticed(watch);
      clock.advance(500);
      expect(ids()).toEqual([]);
    }
    writeOld(join(folder, "inner", "a.gguf"), chat);
    await untilNoticed(watch);
    clock.advance(500);
    expect(ids()).toEqual(["a"]);
  });

  test("a folder in the place of another is followed", async () => {
    const root = newFolder();
    const folder = join(root, "models");
    mkdirSync(folder);
    const { clock, watch, ids } = watched(folder);
    ids();
    renameSync(folder, join(root, "old"));
    mkdirSync(folder);
    clock.advance(30_000);
    ids();
    writeOld(join(folder, "a.gguf"), chat);
    await untilNoticed(watch);
    clock.advance(500);
    expect(ids()).toEqual(["a"]);
  });

  test("without a change the disk is left alone until the view is old", () => {
    const folder = newFolder();
    const { clock, watch, ids } = watched(folder);
    ids();
    watch.close();
    // Closed: no notices, and so it looks every five seconds as without a watch.
    writeOld(join(folder, "a.gguf"), chat);
    clock.advance(4_999);
    expect(ids()).toEqual([]);
    clock.advance(1);
    expect(ids()).toEqual(["a"]);
  });

  test("hidden files are no change", async () => {
    const folder = newFolder();
    const { watch, ids } = watched(folder);
    ids();
    writeFileSync(join(folder, ".partial"), "x");
    appendFileSync(join(folder, ".partial"), "x");
    writeFileSync(join(folder, "seen"), "x");
    await untilNoticed(watch);
    watch.follow([folder]);
    appendFileSync(join(folder, ".partial"), "x");
    await Bun.sleep(20);
    expect(watch.hasChanged).toBe(false);
  });

  test("hidden folders that are missing side by side are waited for, and nothing else beside them", async () => {
    const root = newFolder();
    const { watch, registry } = watched(join(root, ".one"));
    registry.list();
    watch.follow([join(root, ".one", "models"), join(root, ".two", "models")]);
    writeFileSync(join(root, "other"), "x");
    mkdirSync(join(root, ".three"));
    await Bun.sleep(20);
    expect(watch.hasChanged).toBe(false);
    mkdirSync(join(root, ".two"));
    await untilNoticed(watch);
  });

  test("more folders than can be watched are told", () => {
    const root = newFolder();
    const folders = Array.from({ length: 600 }, (_, i) => join(root, String(i)));
    for (const folder of folders) mkdirSync(folder);
    const watch = new FolderWatch();
    open.push(watch);
    watch.follow(folders);
    expect(watch.isComplete).toBe(false);
    watch.follow(folders.slice(0, 10));
    expect(watch.isComplete).toBe(true);
  });
});

describe("a file that is being copied", () => {
  /** A registry that has had its first look, and a copy that begins after it. */
  function copying(bytes: Uint8Array) {
    const folder = newFolder();
    const { clock, registry, ids } = watched(folder);
    ids();
    const path = join(folder, "a.gguf");
    const write = (content: Uint8Array) => {
      writeFileSync(path, content);
      utimesSync(path, clock.wallMs() / 1000, clock.wallMs() / 1000);
    };
    write(bytes);
    clock.advance(500);
    registry.rescan();
    return { folder, path, clock, registry, ids, write };
  }

  test("waits while it is too short, and a request for it says so", () => {
    const { clock, registry, ids, write } = copying(chat.subarray(0, HALF));
    expect(ids()).toEqual([]);
    expect(() => registry.resolve("a")).toThrow("still being written");
    clock.advance(10_000);
    expect(ids()).toEqual([]);
    write(chat.subarray(0, HALF + 10));
    clock.advance(10_000);
    expect(ids()).toEqual([]);
    write(chat);
    clock.advance(500);
    expect(ids()).toEqual([]);
    clock.advance(2_000);
    expect(ids()).toEqual(["a"]);
    expect(registry.resolve("a").error).toBeNull();
  });

  test("of the right length waits until it is quiet", () => {
    const { clock, ids } = copying(chat);
    expect(ids()).toEqual([]);
    clock.advance(2_000);
    expect(ids()).toEqual(["a"]);
  });

  test("counts as damaged when nothing more comes", () => {
    const { clock, registry, ids } = copying(chat.subarray(0, HALF));
    clock.advance(16_000);
    expect(ids()).toEqual(["a"]);
    expect(registry.resolve("a").error?.code).toBe("model_damaged");
  });

  test("waits for its other parts", () => {
    const { folder, path, clock, ids } = copying(chat);
    renameSync(path, join(folder, "s-00001-of-00002.gguf"));
    clock.advance(3_000);
    expect(ids()).toEqual([]);
    cpSync(join(folder, "s-00001-of-00002.gguf"), join(folder, "s-00002-of-00002.gguf"), { preserveTimestamps: true });
    clock.advance(3_000);
    expect(ids()).toEqual(["s"]);
  });

  test("that was there at the start is told as it is, and gets well", () => {
    const folder = newFolder();
    const path = join(folder, "a.gguf");
    writeFileSync(path, chat.subarray(0, HALF));
    const { clock, registry } = watched(folder);
    expect(registry.resolve("a").error?.code).toBe("model_damaged");
    writeOld(path, chat);
    clock.advance(30_000);
    expect(registry.resolve("a").error).toBeNull();
  });
});
