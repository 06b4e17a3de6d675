// What is known of an upload in progress, beside its bytes: a small hidden file, so that the upload can go on after a restart.
// Knows nothing of bytes that arrive.

import { readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { codeOf } from "../../lib/system-error.ts";
import { parseJsonObject, readSmallText } from "../small-file.ts";

export interface Ticket {
  id: string;
  /** Of the file that it will be. */
  name: string;
  /** Null: the client did not say. */
  sizeBytes: number | null;
  /** Hexadecimal; null: the client did not say. */
  sha256: string | null;
  /** May take the place of a model file that is there. */
  replaces: boolean;
  /** Of the server that it dies with; null: it can be gone on with. */
  pid: number | null;
}

export interface UploadStatus extends Ticket {
  /** Bytes that have arrived. */
  offset: number;
  /** When it is removed if nothing more comes; milliseconds since the epoch. */
  expiresMs: number;
}

/** An upload that nobody goes on with is removed after this. */
const TICKET_MS_MAX = 24 * 60 * 60 * 1000;
/** One of which nothing has come: its client has no work to lose, and places for uploads are few. */
const EMPTY_TICKET_MS_MAX = 10 * 60 * 1000;

const TICKET_BYTES_MAX = 4096;
const TICKET_NAME = /^\.upload-([0-9a-f]{32})\.json$/;
const ID = /^[0-9a-f]{32}$/;

/** Hidden: no search of the folder lists them. */
export function partPath(folder: string, id: string): string {
  return join(folder, `.upload-${id}.part`);
}

function ticketPath(folder: string, id: string): string {
  return join(folder, `.upload-${id}.json`);
}

export function newTicketId(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("hex");
}

export function writeTicket(folder: string, ticket: Ticket): void {
  writeFileSync(partPath(folder, ticket.id), "", { flag: "wx" });
  writeFileSync(ticketPath(folder, ticket.id), JSON.stringify(ticket), { flag: "wx" });
}

export function removeTicket(folder: string, id: string): void {
  rmSync(partPath(folder, id), { force: true });
  rmSync(ticketPath(folder, id), { force: true });
}

/** Null: there is none of this id. */
export function readTicket(folder: string, id: string): Ticket | null {
  if (!ID.test(id)) return null;
  const text = readSmallText(ticketPath(folder, id), TICKET_BYTES_MAX);
  const value = text === null ? null : parseJsonObject(text);
  if (value === null || typeof value.name !== "string") return null;
  return {
    id,
    name: value.name,
    sizeBytes: typeof value.sizeBytes === "number" ? value.sizeBytes : null,
    sha256: typeof value.sha256 === "string" ? value.sha256 : null,
    replaces: value.replaces === true,
    pid: typeof value.pid === "number" ? value.pid : null,
  };
}

export interface Part {
  bytes: number;
  changedMs: number;
}

/** When it is removed unless more comes. */
export function expiryOf({ bytes, changedMs }: Part): number {
  return changedMs + (bytes === 0 ? EMPTY_TICKET_MS_MAX : TICKET_MS_MAX);
}

/** How much has arrived, and when the last of it did; null: nothing is there. */
export function readPart(folder: string, id: string): Part | null {
  const stats = statSync(partPath(folder, id), { throwIfNoEntry: false });
  return stats === undefined ? null : { bytes: stats.size, changedMs: stats.mtimeMs };
}

/** All that are there, without those that nobody goes on with, which are removed. `isActive`: this server writes it now. */
export function listTickets(folder: string, nowMs: number, isActive: (id: string) => boolean): Ticket[] {
  const ids = listNames(folder).flatMap((name) => TICKET_NAME.exec(name)?.[1] ?? []);
  return ids.flatMap((id) => {
    const ticket = readTicket(folder, id);
    const part = readPart(folder, id);
    if (isActive(id) && ticket !== null) return [ticket];
    const isOrphan = ticket?.pid === process.pid || (ticket !== null && ticket.pid !== null && !isRunning(ticket.pid));
    if (ticket !== null && part !== null && !isOrphan && nowMs < expiryOf(part)) return [ticket];
    removeTicket(folder, id);
    return [];
  });
}

function listNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (thrown) {
    if (codeOf(thrown) === "ENOENT") return [];
    throw thrown;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return codeOf(thrown) === "EPERM";
  }
}
