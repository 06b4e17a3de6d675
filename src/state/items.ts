// Items of responses and conversations in the database: added, read in order, read by page, dropped with their owner.
// What an item says is not looked at.

import type { Database } from "bun:sqlite";

export type ItemSide = "input" | "output" | "item";

export interface StoredItem {
  id: string;
  body: Record<string, unknown>;
}

export interface PageRequest {
  /** The id of the item before the page. */
  after: string | null;
  limit: number;
  order: "asc" | "desc";
}

export interface Page {
  items: StoredItem[];
  hasMore: boolean;
}

interface Row {
  id: string;
  body: string;
}

/** Returns about the bytes written. One whose id the owner has already is that item, and not added again. */
export function addItems(db: Database, owner: string, side: ItemSide, items: readonly StoredItem[]): number {
  const insert = db.query("INSERT OR IGNORE INTO items (owner, side, id, body) VALUES (?, ?, ?, ?)");
  let bytes = 0;
  for (const { id, body } of items) {
    const text = JSON.stringify(body);
    insert.run(owner, side, id, text);
    bytes += text.length;
  }
  return bytes;
}

export function readItems(db: Database, owner: string, side: ItemSide): StoredItem[] {
  const rows = db
    .query<Row, [string, string]>("SELECT id, body FROM items WHERE owner = ? AND side = ? ORDER BY sequence")
    .all(owner, side);
  return rows.map(parseRow);
}

/** The latest item of that name, whoever has it. */
export function findItem(db: Database, id: string): StoredItem | null {
  const row = db.query<Row, [string]>("SELECT id, body FROM items WHERE id = ? ORDER BY sequence DESC LIMIT 1").get(id);
  return row === null ? null : parseRow(row);
}

/** Null: there is no item `after` which a page could begin. */
export function readPage(db: Database, owner: string, side: ItemSide, page: PageRequest): Page | null {
  const descending = page.order === "desc";
  let from = descending ? Number.MAX_SAFE_INTEGER : 0;
  if (page.after !== null) {
    const found = db
      .query<{ sequence: number }, [string, string, string]>(
        "SELECT sequence FROM items WHERE owner = ? AND side = ? AND id = ?",
      )
      .get(owner, side, page.after);
    if (found === null) return null;
    from = found.sequence;
  }
  const rows = db
    .query<Row, [string, string, number, number]>(
      descending
        ? "SELECT id, body FROM items WHERE owner = ? AND side = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?"
        : "SELECT id, body FROM items WHERE owner = ? AND side = ? AND sequence > ? ORDER BY sequence LIMIT ?",
    )
    .all(owner, side, from, page.limit + 1);
  return { items: rows.slice(0, page.limit).map(parseRow), hasMore: rows.length > page.limit };
}

export function dropItems(db: Database, owner: string): void {
  db.query("DELETE FROM items WHERE owner = ?").run(owner);
}

function parseRow({ id, body }: Row): StoredItem {
  return { id, body: JSON.parse(body) as Record<string, unknown> };
}
