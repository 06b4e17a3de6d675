// What the state database keeps, and for how long: a budget of bytes, in which the longest unused goes first, and an age.
// A response that is continued counts as used with all that it continues, so a living conversation loses no beginning.

import type { Database } from "bun:sqlite";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { toAppError } from "../protocol/errors.ts";
import type { StateDatabase } from "./database.ts";

export interface RetentionLimits {
  bytesMax: number;
  ageMsMax: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** Text: half a gigabyte is some ten thousand long conversations. Thirty days is what OpenAI keeps responses for. */
const FILE_LIMITS: RetentionLimits = { bytesMax: 512 * 1024 * 1024, ageMsMax: 30 * DAY_MS };

/** In memory it competes with models. */
const MEMORY_LIMITS: RetentionLimits = { bytesMax: 64 * 1024 * 1024, ageMsMax: 30 * DAY_MS };

/** A check is three pragmas: often enough that little can come between, rare enough not to count. */
const WRITES_PER_CHECK = 16;

/** Large responses are looked after sooner. */
const BYTES_PER_CHECK = 8 * 1024 * 1024;

/** Down to this part of the budget, so that not every write has to drop something. */
const LOW_WATER = 0.9;

/** Owners dropped at a time. */
const BATCH = 8;

export class Retention {
  readonly #database: StateDatabase;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #limits: RetentionLimits | null;
  /** The first write checks: the last process may have left too much. */
  #writes = WRITES_PER_CHECK - 1;
  #bytes = 0;

  /** `limits` null: by where the database is. */
  constructor(database: StateDatabase, clock: Clock, log: Logger, limits: RetentionLimits | null = null) {
    this.#database = database;
    this.#clock = clock;
    this.#log = log;
    this.#limits = limits;
  }

  /** After a write of about so much: drops what is too much or too old, now and then. */
  noteWrite(bytes: number): void {
    this.#bytes += bytes;
    if (++this.#writes < WRITES_PER_CHECK && this.#bytes < BYTES_PER_CHECK) return;
    this.#writes = 0;
    this.#bytes = 0;
    try {
      this.enforce();
    } catch (thrown) {
      // What was written is written; the next check tries again.
      this.#log.warn("old responses could not be dropped", { reason: toAppError(thrown).message });
    }
  }

  /** These were used. A disk that is full must not keep anybody from reading. */
  noteUse(table: "responses" | "conversations", ids: readonly string[]): void {
    try {
      this.#database.transact((db) => {
        const touch = db.query(`UPDATE ${table} SET used_ms = ? WHERE id = ?`);
        for (const id of ids) touch.run(this.#clock.wallMs(), id);
      });
    } catch (thrown) {
      this.#log.warn("the use of stored responses could not be noted", { reason: toAppError(thrown).message });
    }
  }

  enforce(): void {
    const { bytesMax, ageMsMax } = this.#limits ?? (this.#database.inMemory ? MEMORY_LIMITS : FILE_LIMITS);
    this.#database.transact((db) => {
      const old = db
        .query<{ id: string }, [number]>("SELECT id FROM responses WHERE used_ms < ?")
        .all(this.#clock.wallMs() - ageMsMax);
      dropOwners(db, old);
      if (countBytes(db) <= bytesMax) return;
      while (countBytes(db) > bytesMax * LOW_WATER) {
        const unused = db
          .query<{ id: string }, [number]>(
            `SELECT id FROM (SELECT id, used_ms FROM responses UNION ALL SELECT id, used_ms FROM conversations)
             ORDER BY used_ms LIMIT ?`,
          )
          .all(BATCH);
        if (unused.length === 0) return;
        dropOwners(db, unused);
      }
    });
    this.#database.use((db) => db.run("PRAGMA incremental_vacuum"));
  }
}

/** Pages in use. */
function countBytes(db: Database): number {
  const read = (pragma: string): number => {
    const row = db.query<Record<string, number>, []>(`PRAGMA ${pragma}`).get();
    return Object.values(row ?? {})[0] ?? 0;
  };
  return (read("page_count") - read("freelist_count")) * read("page_size");
}

function dropOwners(db: Database, owners: readonly { id: string }[]): void {
  for (const { id } of owners) {
    db.query("DELETE FROM responses WHERE id = ?").run(id);
    db.query("DELETE FROM conversations WHERE id = ?").run(id);
    db.query("DELETE FROM items WHERE owner = ?").run(id);
  }
}
