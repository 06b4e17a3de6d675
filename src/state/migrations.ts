// The database's schema, as the steps that led to it: a file remembers how many it has seen. A step that was released is
// never changed; a new one is added behind it.

export const MIGRATIONS: readonly (readonly string[])[] = [
  [
    `CREATE TABLE responses (
      id TEXT PRIMARY KEY,
      created_ms INTEGER NOT NULL,
      used_ms INTEGER NOT NULL,
      status TEXT NOT NULL,
      pid INTEGER NOT NULL,
      previous_id TEXT,
      session TEXT,
      body TEXT NOT NULL,
      events BLOB
    ) STRICT`,
    "CREATE INDEX responses_used ON responses (used_ms)",
    `CREATE TABLE conversations (
      id TEXT PRIMARY KEY,
      created_ms INTEGER NOT NULL,
      used_ms INTEGER NOT NULL,
      metadata TEXT NOT NULL
    ) STRICT`,
    "CREATE INDEX conversations_used ON conversations (used_ms)",
    // Of a response (input, then output) or of a conversation. Their order is that of their arrival.
    `CREATE TABLE items (
      sequence INTEGER PRIMARY KEY AUTOINCREMENT,
      owner TEXT NOT NULL,
      side TEXT NOT NULL,
      id TEXT NOT NULL,
      body TEXT NOT NULL
    ) STRICT`,
    "CREATE INDEX items_owner ON items (owner, side, sequence)",
    "CREATE UNIQUE INDEX items_name ON items (owner, side, id)",
    "CREATE INDEX items_id ON items (id)",
  ],
];
