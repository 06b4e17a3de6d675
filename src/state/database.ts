// The state database: one SQLite file under the state folder, opened when it is first needed. Owns the file, its schema's
// versions, and what happens when it is damaged or can't be written. Knows no table but by its migrations.

import { Database, SQLiteError } from "bun:sqlite";
import { chmodSync, existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { AppError } from "../protocol/errors.ts";
import { MIGRATIONS } from "./migrations.ts";

export interface StateDatabaseOptions {
  /** Null: in memory, for as long as the process lives. */
  folder: string | null;
  log: Logger;
  clock: Clock;
}

const FILE = "state.sqlite";

/** Another server on the same file writes for milliseconds; longer is a stuck one. */
const BUSY_MS_MAX = 2000;

/** The write-ahead log is cut back to this after a checkpoint: one large response must not keep its size for ever. */
const WAL_BYTES_KEPT = 8 * 1024 * 1024;

/** Only SQLite's own page cache, in KiB: the default of 2 MiB holds the indexes. */
const CACHE_KIB = 2048;

export class StateDatabase implements Disposable {
  readonly #options: StateDatabaseOptions;
  #open: Database | null = null;
  #inMemory = false;

  constructor(options: StateDatabaseOptions) {
    this.#options = options;
  }

  /** True once it is known that nothing outlives the process. */
  get inMemory(): boolean {
    return this.#inMemory;
  }

  /**
   * Runs one unit of work; writes belong into `transact`. A damaged file is set aside with one warning, and the work
   * runs on an empty database. Throws `storage_unavailable` when the disk is full or does not let us.
   */
  use<T>(work: (db: Database) => T): T {
    try {
      return work(this.#connect());
    } catch (thrown) {
      if (!isDamage(thrown) || this.#inMemory) throw explain(thrown);
      this.#setAside(thrown);
    }
    try {
      return work(this.#connect());
    } catch (thrown) {
      throw explain(thrown);
    }
  }

  /** All of the work or nothing of it. */
  transact<T>(work: (db: Database) => T): T {
    return this.use((db) => db.transaction(() => work(db)).immediate());
  }

  [Symbol.dispose](): void {
    this.#open?.close();
    this.#open = null;
  }

  #connect(): Database {
    this.#open ??= this.#options.folder === null ? this.#openInMemory() : this.#openFile(this.#options.folder);
    return this.#open;
  }

  #openFile(folder: string): Database {
    const path = join(folder, FILE);
    let db: Database | null = null;
    try {
      // What people said to a model is theirs alone.
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      db = new Database(path, { create: true, readwrite: true, strict: true });
      chmodSync(path, 0o600);
      migrate(db);
      return db;
    } catch (thrown) {
      db?.close();
      if (isDamage(thrown)) throw thrown;
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      this.#options.log.warn("responses and conversations are kept in memory only, and lost at the end", {
        path,
        reason: why,
      });
      return this.#openInMemory();
    }
  }

  #openInMemory(): Database {
    this.#inMemory = true;
    const db = new Database(":memory:", { strict: true });
    migrate(db);
    return db;
  }

  #setAside(thrown: unknown): void {
    const { folder, log, clock } = this.#options;
    this.#open?.close();
    this.#open = null;
    if (folder === null) return;
    const path = join(folder, FILE);
    const aside = `${path}.damaged-${new Date(clock.wallMs()).toISOString().replaceAll(":", "-")}`;
    for (const suffix of ["", "-wal", "-shm"]) {
      if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
    }
    log.warn("the state database was damaged: it is set aside, and an empty one begun", {
      path: aside,
      reason: thrown instanceof Error ? thrown.message : String(thrown),
    });
  }
}

function migrate(db: Database): void {
  // Space of what was dropped is given back in `retention.ts`; this only works before the first table.
  db.run("PRAGMA auto_vacuum = INCREMENTAL");
  db.run(`PRAGMA busy_timeout = ${BUSY_MS_MAX}`);
  db.run("PRAGMA journal_mode = WAL");
  // A power cut may lose the last moments, never the file's order: an answer need not wait for the disk.
  db.run("PRAGMA synchronous = NORMAL");
  db.run(`PRAGMA journal_size_limit = ${WAL_BYTES_KEPT}`);
  db.run(`PRAGMA cache_size = -${CACHE_KIB}`);
  const apply = db.transaction(() => {
    const row = db.query<{ user_version: number }, []>("PRAGMA user_version").get();
    const version = row?.user_version ?? 0;
    if (version > MIGRATIONS.length) {
      throw new AppError({
        code: "storage_unavailable",
        message: `the database is of a newer version (${version}; this program knows ${MIGRATIONS.length})`,
      });
    }
    for (const [at, statements] of MIGRATIONS.entries()) {
      if (at < version) continue;
      for (const statement of statements) db.run(statement);
    }
    db.run(`PRAGMA user_version = ${MIGRATIONS.length}`);
  });
  // Immediate: two servers that start at once must not both find an empty file.
  apply.immediate();
}

function isDamage(thrown: unknown): boolean {
  return thrown instanceof SQLiteError && /^SQLITE_(CORRUPT|NOTADB)/.test(thrown.code ?? "");
}

function explain(thrown: unknown): unknown {
  if (!(thrown instanceof SQLiteError)) return thrown;
  const code = thrown.code ?? "";
  // A wrong statement is a bug; all else is the disk's, or another process's.
  if (code === "SQLITE_ERROR" || code === "SQLITE_MISUSE" || code.startsWith("SQLITE_CONSTRAINT")) return thrown;
  const message = `the state database can't be used: ${thrown.message}`;
  return new AppError({ code: "storage_unavailable", message }, { cause: thrown });
}
