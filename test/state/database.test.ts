import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "../../src/lib/log.ts";
import { AppError } from "../../src/protocol/errors.ts";
import { StateDatabase } from "../../src/state/database.ts";
import { FakeClock } from "../support/fake-clock.ts";

let folder: string;
let lines: string[];
let opened: StateDatabase[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mlo-state-"));
  lines = [];
  opened = [];
});
afterEach(() => {
  for (const database of opened) database[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

function open(at: string | null = folder): StateDatabase {
  const log = createLogger({ level: "warn", format: "text", write: (line) => void lines.push(line) });
  const database = new StateDatabase({ folder: at, log, clock: new FakeClock() });
  opened.push(database);
  return database;
}

const addConversation = (database: StateDatabase, id: string, metadata = "{}") =>
  database.transact((db) => {
    db.query("INSERT INTO conversations (id, created_ms, used_ms, metadata) VALUES (?, 0, 0, ?)").run(id, metadata);
  });
const countConversations = (database: StateDatabase) =>
  database.use((db) => db.query<{ n: number }, []>("SELECT count(*) AS n FROM conversations").get()?.n);

test("nothing is written before it is used; then it stays, for its owner alone", () => {
  const first = open();
  expect(readdirSync(folder)).toEqual([]);
  addConversation(first, "a");
  expect(statSync(join(folder, "state.sqlite")).mode & 0o777).toBe(0o600);
  first[Symbol.dispose]();
  expect(countConversations(open())).toBe(1);
  expect(lines).toEqual([]);
});

test("two processes use one file", () => {
  const [first, second] = [open(), open()];
  addConversation(first, "a");
  addConversation(second, "b");
  expect([countConversations(first), countConversations(second)]).toEqual([2, 2]);
});

test("work that throws leaves nothing", () => {
  const database = open();
  const fail = () =>
    database.transact((db) => {
      db.query("INSERT INTO conversations (id, created_ms, used_ms, metadata) VALUES ('a', 0, 0, '{}')").run();
      throw new Error("no");
    });
  expect(fail).toThrow("no");
  expect(countConversations(database)).toBe(0);
});

test("a file that is no database is set aside, with one warning", () => {
  writeFileSync(join(folder, "state.sqlite"), "not a database at all ".repeat(500));
  const database = open();
  addConversation(database, "a");
  expect(countConversations(database)).toBe(1);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain("set aside");
  const aside = readdirSync(folder).filter((name) => name.includes("damaged"));
  expect(aside).toContain("state.sqlite.damaged-2023-11-14T22-13-20.000Z");
  expect(database.inMemory).toBe(false);
});

test("damage that shows later is treated the same", () => {
  const first = open();
  for (let i = 0; i < 200; i++) addConversation(first, `c${i}`, "x".repeat(2000));
  first[Symbol.dispose]();
  const path = join(folder, "state.sqlite");
  const bytes = readFileSync(path);
  // The first page, which says what the file is, stays whole.
  bytes.fill(0xa5, 4096);
  writeFileSync(path, bytes);
  const database = open();
  const sum = database.use((db) => db.query("SELECT sum(length(metadata)) FROM conversations").get());
  expect(Object.values(sum ?? {})).toEqual([null]);
  expect(lines).toHaveLength(1);
  addConversation(database, "new");
  expect(countConversations(database)).toBe(1);
});

test("a folder that can't be had is memory, with one warning", () => {
  const blocked = join(folder, "file");
  writeFileSync(blocked, "");
  const database = open(blocked);
  addConversation(database, "a");
  expect(countConversations(database)).toBe(1);
  expect(database.inMemory).toBe(true);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain("in memory only");
});

test("a file of a newer program is left alone", () => {
  const path = join(folder, "state.sqlite");
  const db = new Database(path, { create: true });
  db.run("CREATE TABLE future (a)");
  db.run("PRAGMA user_version = 999");
  db.close();
  const database = open();
  addConversation(database, "a");
  expect(database.inMemory).toBe(true);
  expect(lines[0]).toContain("newer version");
  const again = new Database(path);
  expect(again.query("SELECT count(*) AS n FROM future").get()).toEqual({ n: 0 });
  again.close();
});

test("a full disk is an error that says so, and reading goes on", () => {
  const database = open();
  addConversation(database, "a");
  database.use((db) => db.run("PRAGMA max_page_count = 12"));
  const fill = () => addConversation(database, "b", "x".repeat(100_000));
  expect(fill).toThrow(AppError);
  expect(fill).toThrow("disk is full");
  expect(countConversations(database)).toBe(1);
});

test("a wrong statement is a bug, not a disk's fault", () => {
  expect(() => open().use((db) => db.query("SELECT id FROM nowhere").get())).toThrow("no such table");
});
