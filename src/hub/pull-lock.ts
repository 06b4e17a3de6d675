// One download of a model at a time: within this process, and among all that share the models folder. A lock whose
// process is gone is taken over.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { AppError } from "../protocol/errors.ts";
import { explainDisk } from "./partial-file.ts";

const held = new Set<string>();
/** In one process: each has connections of its own, and more do not come faster. */
const PULLS_MAX = 4;

/** Gives the lock back when it is called. Throws `overloaded` when somebody else downloads the same. */
export function lockPull(path: string, what: string): () => void {
  if (held.has(path)) throw busy(what, process.pid);
  if (held.size >= PULLS_MAX) {
    const message = `${PULLS_MAX} models are being downloaded already`;
    throw new AppError({ code: "overloaded", message, hint: "Wait until one of them is there." });
  }
  try {
    takeFile(path, what);
  } catch (thrown) {
    throw explainDisk(thrown, path);
  }
  held.add(path);
  return () => {
    held.delete(path);
    rmSync(path, { force: true });
  };
}

function takeFile(path: string, what: string): void {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(path, String(process.pid), { flag: "wx" });
      return;
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
    }
    const owner = readOwner(path);
    // Our own number can only be that of an earlier process: in a container it is always the same.
    if (owner !== null && owner !== process.pid && isAlive(owner)) throw busy(what, owner);
    rmSync(path, { force: true });
  }
  throw busy(what, readOwner(path) ?? 0);
}

function readOwner(path: string): number | null {
  try {
    const number = Number(readFileSync(path, "utf8").slice(0, 20));
    return Number.isSafeInteger(number) && number > 0 ? number : null;
  } catch (_gone) {
    // Given back in this moment.
    return null;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    // It lives, but belongs to another user.
    return (thrown as NodeJS.ErrnoException).code === "EPERM";
  }
}

function busy(what: string, pid: number): AppError {
  const message = `${what} is being downloaded already, by the process ${pid}`;
  return new AppError({ code: "overloaded", message, hint: "Wait until it is there." });
}
