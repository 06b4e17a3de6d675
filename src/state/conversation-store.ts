// Conversations in the database: their metadata and their items, in order. What an item says is not looked at.

import type { Clock } from "../lib/clock.ts";
import type { StateDatabase } from "./database.ts";
import { addItems, dropItems, type Page, type PageRequest, readItems, readPage, type StoredItem } from "./items.ts";
import type { Retention } from "./retention.ts";

export interface StoredConversation {
  id: string;
  createdMs: number;
  metadata: Record<string, unknown>;
}

interface Row {
  id: string;
  created_ms: number;
  metadata: string;
}

export class ConversationStore {
  readonly #database: StateDatabase;
  readonly #retention: Retention;
  readonly #clock: Clock;

  constructor(database: StateDatabase, retention: Retention, clock: Clock) {
    this.#database = database;
    this.#retention = retention;
    this.#clock = clock;
  }

  create(id: string, metadata: Record<string, unknown>, items: readonly StoredItem[]): StoredConversation {
    const createdMs = this.#clock.wallMs();
    const bytes = this.#database.transact((db) => {
      db.query("INSERT INTO conversations (id, created_ms, used_ms, metadata) VALUES (?, ?, ?, ?)").run(
        id,
        createdMs,
        createdMs,
        JSON.stringify(metadata),
      );
      return addItems(db, id, "item", items);
    });
    this.#retention.noteWrite(bytes);
    return { id, createdMs, metadata };
  }

  read(id: string): StoredConversation | null {
    const row = this.#database.use((db) =>
      db.query<Row, [string]>("SELECT id, created_ms, metadata FROM conversations WHERE id = ?").get(id),
    );
    if (row === null) return null;
    return { id, createdMs: row.created_ms, metadata: JSON.parse(row.metadata) as Record<string, unknown> };
  }

  /** False: there is none. */
  setMetadata(id: string, metadata: Record<string, unknown>): boolean {
    return this.#database.transact((db) => {
      const update = db.query("UPDATE conversations SET metadata = ?, used_ms = ? WHERE id = ?");
      return update.run(JSON.stringify(metadata), this.#clock.wallMs(), id).changes > 0;
    });
  }

  delete(id: string): boolean {
    return this.#database.transact((db) => {
      const { changes } = db.query("DELETE FROM conversations WHERE id = ?").run(id);
      if (changes > 0) dropItems(db, id);
      return changes > 0;
    });
  }

  /** False: there is none, so nothing was added. */
  append(id: string, items: readonly StoredItem[]): boolean {
    const bytes = this.#database.transact((db) => {
      const { changes } = db.query("UPDATE conversations SET used_ms = ? WHERE id = ?").run(this.#clock.wallMs(), id);
      return changes > 0 ? addItems(db, id, "item", items) : null;
    });
    if (bytes === null) return false;
    this.#retention.noteWrite(bytes);
    return true;
  }

  /** All its items; null: no such conversation. It counts as used. */
  readItems(id: string): StoredItem[] | null {
    const items = this.#database.use((db) => {
      const found = db.query<{ id: string }, [string]>("SELECT id FROM conversations WHERE id = ?").get(id);
      return found === null ? null : readItems(db, id, "item");
    });
    if (items !== null) this.#retention.noteUse("conversations", [id]);
    return items;
  }

  /** Null: no such item `after` which to begin. */
  readPage(id: string, page: PageRequest): Page | null {
    return this.#database.use((db) => readPage(db, id, "item", page));
  }

  readItem(id: string, itemId: string): StoredItem | null {
    const row = this.#database.use((db) =>
      db
        .query<{ body: string }, [string, string]>(
          "SELECT body FROM items WHERE owner = ? AND side = 'item' AND id = ?",
        )
        .get(id, itemId),
    );
    return row === null ? null : { id: itemId, body: JSON.parse(row.body) as Record<string, unknown> };
  }

  deleteItem(id: string, itemId: string): boolean {
    return this.#database.transact(
      (db) => db.query("DELETE FROM items WHERE owner = ? AND side = 'item' AND id = ?").run(id, itemId).changes > 0,
    );
  }
}
