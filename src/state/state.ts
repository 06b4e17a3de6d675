// All that outlives a request: responses and conversations over one database. Puts the parts together.

import { ConversationStore } from "./conversation-store.ts";
import { StateDatabase, type StateDatabaseOptions } from "./database.ts";
import { ResponseStore } from "./response-store.ts";
import { Retention, type RetentionLimits } from "./retention.ts";

export interface StateOptions extends StateDatabaseOptions {
  /** Absent: by where the database is. */
  limits?: RetentionLimits;
}

export class State implements Disposable {
  readonly responses: ResponseStore;
  readonly conversations: ConversationStore;
  readonly #database: StateDatabase;

  constructor({ limits, ...options }: StateOptions) {
    const { clock, log } = options;
    this.#database = new StateDatabase(options);
    const retention = new Retention(this.#database, clock, log, limits ?? null);
    this.responses = new ResponseStore(this.#database, retention, clock);
    this.conversations = new ConversationStore(this.#database, retention, clock);
  }

  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]();
  }
}
