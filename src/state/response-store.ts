// Responses in the database, each with the items that came in and those that went out. What a response says is not looked
// at: bodies and items are the API's.

import type { Database } from "bun:sqlite";
import type { Clock } from "../lib/clock.ts";
import type { StateDatabase } from "./database.ts";
import {
  addItems,
  dropItems,
  findItem,
  type Page,
  type PageRequest,
  readItems,
  readPage,
  type StoredItem,
} from "./items.ts";
import type { Retention } from "./retention.ts";

export interface StoredResponse {
  id: string;
  createdMs: number;
  status: string;
  /** The server process that made it. */
  pid: number;
  previousId: string | null;
  /** The engine's name for the conversation whose state this response ends. */
  session: string | null;
  /** All but the output. */
  body: Record<string, unknown>;
  output: StoredItem[];
  /** Its stream, packed by the API; null where none is kept. */
  events: Uint8Array | null;
}

/** One response of a chain, as the next one continues it. */
export interface ChainLink {
  id: string;
  status: string;
  session: string | null;
  input: StoredItem[];
  output: StoredItem[];
}

export type Chain = { kind: "whole"; links: ChainLink[] } | { kind: "broken"; missing: string; after: string | null };

interface Row {
  id: string;
  created_ms: number;
  status: string;
  pid: number;
  previous_id: string | null;
  session: string | null;
  body: string;
  events: Uint8Array | null;
}

export class ResponseStore {
  readonly #database: StateDatabase;
  readonly #retention: Retention;
  readonly #clock: Clock;

  constructor(database: StateDatabase, retention: Retention, clock: Clock) {
    this.#database = database;
    this.#retention = retention;
    this.#clock = clock;
  }

  /** Adds it, or puts it in the place of one with the same id. `input` absent: as it was. */
  save(response: StoredResponse, input?: readonly StoredItem[]): void {
    const bytes = this.#database.transact((db) => {
      const { id, createdMs, status, pid, previousId, session, body, events } = response;
      db.query(
        `INSERT OR REPLACE INTO responses (id, created_ms, used_ms, status, pid, previous_id, session, body, events)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ).run(id, createdMs, this.#clock.wallMs(), status, pid, previousId, session, JSON.stringify(body), events);
      if (input === undefined) db.query("DELETE FROM items WHERE owner = ? AND side = 'output'").run(id);
      else dropItems(db, id);
      return addItems(db, id, "input", input ?? []) + addItems(db, id, "output", response.output);
    });
    this.#retention.noteWrite(bytes);
  }

  read(id: string): StoredResponse | null {
    return this.#database.use((db) => {
      const row = db.query<Row, [string]>("SELECT * FROM responses WHERE id = ?").get(id);
      if (row === null) return null;
      return {
        id: row.id,
        createdMs: row.created_ms,
        status: row.status,
        pid: row.pid,
        previousId: row.previous_id,
        session: row.session,
        body: JSON.parse(row.body) as Record<string, unknown>,
        output: readItems(db, id, "output"),
        events: row.events,
      };
    });
  }

  /** Null: no such response. `page` null: no such item. */
  readInputPage(id: string, page: PageRequest): { page: Page | null } | null {
    return this.#database.use((db) => {
      const found = db.query<{ id: string }, [string]>("SELECT id FROM responses WHERE id = ?").get(id);
      return found === null ? null : { page: readPage(db, id, "input", page) };
    });
  }

  findItem(id: string): StoredItem | null {
    return this.#database.use((db) => findItem(db, id));
  }

  delete(id: string): boolean {
    return this.#database.transact((db) => {
      const { changes } = db.query("DELETE FROM responses WHERE id = ?").run(id);
      if (changes > 0) dropItems(db, id);
      return changes > 0;
    });
  }

  /** The response and all that it continues, oldest first; all of it counts as used. `linksMax` bounds the walk. */
  readChain(id: string, linksMax: number): Chain {
    const chain = this.#database.use((db) => walk(db, id, linksMax));
    if (chain.kind === "whole") {
      this.#retention.noteUse(
        "responses",
        chain.links.map((link) => link.id),
      );
    }
    return chain;
  }
}

function walk(db: Database, id: string, linksMax: number): Chain {
  const select = db.query<Pick<Row, "id" | "status" | "previous_id" | "session">, [string]>(
    "SELECT id, status, previous_id, session FROM responses WHERE id = ?",
  );
  const links: ChainLink[] = [];
  const seen = new Set<string>();
  for (let next: string | null = id; next !== null; ) {
    const row: Pick<Row, "id" | "status" | "previous_id" | "session"> | null = select.get(next);
    if (row === null || seen.has(next) || links.length >= linksMax) {
      return { kind: "broken", missing: next, after: links.at(-1)?.id ?? null };
    }
    seen.add(next);
    const { status, session } = row;
    const [input, output] = [readItems(db, next, "input"), readItems(db, next, "output")];
    links.push({ id: next, status, session, input, output });
    next = row.previous_id;
  }
  return { kind: "whole", links: links.reverse() };
}
