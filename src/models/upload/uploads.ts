// Uploads of model files and of models: where they are written while they arrive, how they go on after a break, and the one
// step by which a whole one appears. Nothing lies outside the two folders, and nothing half is ever listed. Knows no HTTP.

import { existsSync, mkdirSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Environment } from "../../lib/paths.ts";
import { AppError } from "../../protocol/errors.ts";
import { checkFileName } from "../file-name.ts";
import { MODEL_FILE_BYTES_MAX, MODEL_FILE_NAME, type ModelDescription } from "../model-file/parse.ts";
import { idFromFileName, isGgufName, isReservedName } from "../name.ts";
import { finishModel, finishModelFile, type Uploaded } from "./finish.ts";
import { explainDisk, PartWriter } from "./part-writer.ts";
import {
  expiryOf,
  listTickets,
  newTicketId,
  partPath,
  readPart,
  readTicket,
  removeTicket,
  type Ticket,
  type UploadStatus,
  writeTicket,
} from "./ticket.ts";

export interface UploadFolders {
  /** The server's own models folder: models lie there, and all that is not whole yet, hidden. */
  models: string;
  /** Null: there is none. */
  modelFiles: string | null;
}

export interface UploadsOptions {
  folders: UploadFolders;
  env: Environment;
  clock: Clock;
  /** Lists what has appeared. */
  onPlaced(path: string): void;
  /** For tests. */
  freeDiskBytes?: (folder: string) => Promise<number | null>;
}

export type UploadRequest = Omit<Ticket, "id" | "pid"> & {
  /** It can be gone on with after a break. */
  resumes: boolean;
};

/** Each may hold a file as large as a disk; nobody sends more at once by hand. */
const UPLOADS_MAX = 16;
/** Kept free: a disk without a byte breaks other programs. */
const DISK_RESERVE_BYTES = 256 * 1024 * 1024;

interface Writing {
  writer: PartWriter;
  /** Ends it in favour of who goes on. */
  stop: AbortController;
  ended: Promise<unknown>;
}

export class Uploads {
  readonly #options: UploadsOptions;
  readonly #writing = new Map<string, Writing>();
  /** Those that end with the request that began them. */
  readonly #ofRequests = new Set<string>();
  /** The last writer of each: it may know the checksum of all that is there. */
  readonly #written = new Map<string, PartWriter>();

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  /**
   * Begins one. Throws `invalid_request` for a name that can't be, `conflict` for one that is there or on its way,
   * `overloaded`, `payload_too_large` and `storage_unavailable`.
   */
  async create({ resumes, ...request }: UploadRequest): Promise<UploadStatus> {
    const { folders } = this.#options;
    this.#assertName(request);
    try {
      mkdirSync(folders.models, { recursive: true });
    } catch (thrown) {
      throw explainDisk(thrown);
    }
    await this.#assertRoom(request.sizeBytes ?? 0, null);
    // From here on nothing waits: two of one name can't both find it free.
    const others = this.#list();
    const same = others.find(({ name }) => name.toLowerCase() === request.name.toLowerCase());
    if (same !== undefined) {
      const message = `an upload of ${request.name} is on its way already`;
      const goesOn = `HEAD /api/models/upload/${same.id} tells how far it is, and DELETE gives it up.`;
      throw new AppError({ code: "conflict", message, hint: same.pid === null ? goesOn : "Wait for its end." });
    }
    if (others.length >= UPLOADS_MAX) {
      const message = `${UPLOADS_MAX} uploads are on their way already`;
      throw new AppError({
        code: "overloaded",
        message,
        hint: "Finish or delete some of them; those of which nothing came go after ten minutes.",
      });
    }
    const ticket: Ticket = { ...request, id: newTicketId(), pid: resumes ? null : process.pid };
    try {
      writeTicket(folders.models, ticket);
    } catch (thrown) {
      removeTicket(folders.models, ticket.id);
      throw explainDisk(thrown);
    }
    if (!resumes) this.#ofRequests.add(ticket.id);
    return this.#describe(ticket, 0);
  }

  /** Throws `not_found`. */
  status(id: string): UploadStatus {
    const ticket = readTicket(this.#options.folders.models, id);
    const part = ticket === null ? null : readPart(this.#options.folders.models, id);
    if (ticket !== null && part !== null) return this.#describe(ticket, part.bytes);
    const message = "there is no such upload: it has ended, or nothing came for too long";
    throw new AppError({ code: "not_found", message, hint: "Begin a new one with POST /api/models/upload." });
  }

  /**
   * Writes on from `offset`. Whoever still writes the same one is stopped: its connection is most likely dead. What can't
   * become a model is removed with the refusal. Throws `conflict` where the offset is another.
   */
  async append(id: string, offset: number, chunks: AsyncIterable<Uint8Array>): Promise<UploadStatus> {
    const former = this.#writing.get(id);
    former?.stop.abort(new AppError({ code: "conflict", message: "another request goes on with this upload" }));
    await former?.ended;
    const ticket = this.status(id);
    if (ticket.offset !== offset || this.#writing.has(id)) {
      const message = `the upload is at byte ${ticket.offset}, not at ${offset}`;
      throw new AppError({ code: "conflict", message, hint: "Ask with HEAD, and go on from there." });
    }
    const known = this.#written.get(id);
    const writer = known?.offset === offset ? known : this.#openPart(ticket);
    const stop = new AbortController();
    const done = writer.append(chunks, stop.signal);
    const ended = Promise.allSettled([done]);
    this.#writing.set(id, { writer, stop, ended });
    this.#written.set(id, writer);
    try {
      await done;
    } catch (thrown) {
      // What comes next can't mend it.
      if (thrown instanceof AppError && ["format_unsupported", "payload_too_large"].includes(thrown.code)) {
        this.discard(id);
      }
      throw thrown;
    } finally {
      this.#writing.delete(id);
    }
    return this.status(id);
  }

  /**
   * Checks what has arrived and lets it appear; however that ends, the upload is over. `check` may refuse a model file.
   * Throws `invalid_request`, `format_unsupported`, `conflict`, `storage_unavailable`.
   */
  async finish(id: string, check: (description: ModelDescription) => void): Promise<Uploaded> {
    const { folders, env } = this.#options;
    const ticket = this.status(id);
    const part = partPath(folders.models, id);
    try {
      const digest = this.#written.get(id)?.digest() ?? null;
      const uploaded = isGgufName(ticket.name)
        ? await finishModel(ticket, part, join(folders.models, ticket.name), digest)
        : await finishModelFile(ticket, part, join(this.#modelFilesFolder(), ticket.name), digest, { env, check });
      this.#options.onPlaced(uploaded.path);
      return uploaded;
    } catch (thrown) {
      throw explainDisk(thrown);
    } finally {
      this.discard(id);
    }
  }

  /** Gives it up. What is not there is no trouble. */
  discard(id: string): void {
    this.#writing.get(id)?.stop.abort(new AppError({ code: "cancelled", message: "the upload was given up" }));
    this.#written.delete(id);
    this.#ofRequests.delete(id);
    if (readTicket(this.#options.folders.models, id) !== null) removeTicket(this.#options.folders.models, id);
  }

  #openPart(ticket: UploadStatus): PartWriter {
    return new PartWriter({
      path: partPath(this.#options.folders.models, ticket.id),
      offset: ticket.offset,
      sizeBytes: ticket.sizeBytes,
      bytesMax: isGgufName(ticket.name) ? Number.POSITIVE_INFINITY : MODEL_FILE_BYTES_MAX,
      isModel: isGgufName(ticket.name),
      assertRoom: () => this.#assertRoom(0, ticket.id),
    });
  }

  #describe(ticket: Ticket, offset: number): UploadStatus {
    const changedMs = readPart(this.#options.folders.models, ticket.id)?.changedMs ?? this.#options.clock.wallMs();
    return { ...ticket, offset, expiresMs: expiryOf({ bytes: offset, changedMs }) };
  }

  #list(): Ticket[] {
    const isActive = (id: string): boolean => this.#writing.has(id) || this.#ofRequests.has(id);
    return listTickets(this.#options.folders.models, this.#options.clock.wallMs(), isActive);
  }

  #modelFilesFolder(): string {
    const { modelFiles } = this.#options.folders;
    if (modelFiles !== null) return modelFiles;
    throw new AppError({ code: "not_supported", message: "this server has no folder of model files" });
  }

  #assertName({ name, sizeBytes, replaces }: Pick<Ticket, "name" | "sizeBytes" | "replaces">): void {
    checkFileName(name, "name");
    const isModel = isGgufName(name);
    if (!isModel && !MODEL_FILE_NAME.test(name)) {
      const message = `\`name\` ${JSON.stringify(name)} must end in .gguf, or in .json, .yaml or .yml for a model file`;
      throw new AppError({ code: "invalid_request", message, hint: "Name the file.", param: "name" });
    }
    if (isModel && isReservedName(idFromFileName(name))) {
      const message = `\`name\` ${JSON.stringify(name)} asks for a model by itself and can't be the name of one`;
      throw new AppError({ code: "invalid_request", message, hint: "Choose another name.", param: "name" });
    }
    if (!isModel && (sizeBytes ?? 0) > MODEL_FILE_BYTES_MAX) {
      const message = `a model file has at most ${MODEL_FILE_BYTES_MAX} bytes`;
      throw new AppError({ code: "payload_too_large", message });
    }
    const path = join(isModel ? this.#options.folders.models : this.#modelFilesFolder(), name);
    if (!existsSync(path) || (replaces && !isModel)) return;
    const hint = isModel ? "Delete or rename the model first." : "Send replace=true to put this one in its place.";
    throw new AppError({ code: "conflict", message: `there is a file ${name} already`, hint, param: "name" });
  }

  /** Room for so many bytes, and for what is on its way besides. */
  async #assertRoom(bytes: number, own: string | null): Promise<void> {
    const { folders, freeDiskBytes = readFreeBytes } = this.#options;
    const freeBytes = await freeDiskBytes(folders.models);
    if (freeBytes === null) return;
    const missing = this.#list().map(({ id, sizeBytes }) => {
      const arrived = readPart(folders.models, id)?.bytes ?? 0;
      return id === own ? 0 : Math.max(0, (sizeBytes ?? 0) - arrived);
    });
    const taken = missing.reduce((sum, part) => sum + part, 0);
    if (bytes + taken + DISK_RESERVE_BYTES <= freeBytes) return;
    const others = taken === 0 ? "" : `, of which uploads on their way take ${taken}`;
    throw new AppError({
      code: "storage_unavailable",
      message: `the upload needs ${bytes} bytes, and ${freeBytes} are free${others}`,
      hint: `Free space, or set XDG_DATA_HOME to a larger disk; ${DISK_RESERVE_BYTES} bytes stay free.`,
    });
  }
}

async function readFreeBytes(folder: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (_unknown) {
    // A file system that does not tell: a full disk is then met while writing.
    return null;
  }
}
