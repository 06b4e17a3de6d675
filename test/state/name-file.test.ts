// The file of copied names: kept across restarts, swapped in whole, set aside when it is damaged.

import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger, silentLogger } from "../../src/lib/log.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { NameFile } from "../../src/state/name-file.ts";

const newFolder = () => mkdtempSync(join(tmpdir(), "mlo-aliases-"));

test("names outlive the object, and leave nothing else behind", () => {
  const path = join(newFolder(), "state", "aliases.json");
  const file = new NameFile(path, "copied names", silentLogger);
  expect(file.entries().size).toBe(0);
  file.set("a", "model");
  file.set("b", "owner/repo:Q4_K_M");
  expect(file.delete("a")).toBe(true);
  expect(file.delete("a")).toBe(false);
  expect([...new NameFile(path, "copied names", silentLogger).entries()]).toEqual([["b", "owner/repo:Q4_K_M"]]);
  expect(readdirSync(join(path, ".."))).toEqual(["aliases.json"]);
});

test.each(["", "{", "[]", "3", '{"a": 3}', "null"])("a file of %j is set aside with one warning", (text) => {
  const path = join(newFolder(), "aliases.json");
  writeFileSync(path, text);
  const lines: string[] = [];
  const log = createLogger({ level: "warn", format: "text", write: (line) => void lines.push(line) });
  const file = new NameFile(path, "copied names", log);
  expect([file.entries().size, lines.length]).toEqual([0, 1]);
  expect(readFileSync(`${path}.damaged`, "utf8")).toBe(text);
  file.set("a", "m");
  expect(new NameFile(path, "copied names", log).entries().get("a")).toBe("m");
});

test("there is a limit, and a name that is there can still change", () => {
  const path = join(newFolder(), "aliases.json");
  writeFileSync(path, JSON.stringify(Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`n${i}`, "m"]))));
  const file = new NameFile(path, "copied names", silentLogger);
  expect(() => file.set("one-more", "m")).toThrow(AppError);
  file.set("n5", "other");
  expect(file.entries().get("n5")).toBe("other");
});

test("what can't be written does not count", () => {
  const folder = newFolder();
  const path = join(folder, "file", "aliases.json");
  writeFileSync(join(folder, "file"), "in the way");
  const file = new NameFile(path, "copied names", silentLogger);
  expect(() => file.set("a", "m")).toThrow("could not be written");
  expect(file.entries().size).toBe(0);
  expect(existsSync(path)).toBe(false);
});
