// A control group that limits memory, where this system lets us make one (version 1 or 2), and why not where it does not.

import { accessSync, constants, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

interface Version {
  root: string;
  limit: string;
  usage: string;
  /** Of memory.stat: what can't be dropped like the page cache. */
  anonymous: RegExp;
  /** Where the kernel counts the processes that it ended for want of memory. */
  kills: string;
}

const VERSIONS: readonly Version[] = [
  {
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    anonymous: /^total_rss (\d+)$/m,
    kills: "memory.oom_control",
  },
  {
    root: "/sys/fs/cgroup",
    limit: "memory.max",
    usage: "memory.current",
    anonymous: /^anon (\d+)$/m,
    kills: "memory.events",
  },
];

export type MadeGroup = { kind: "made"; group: MemoryGroup } | { kind: "none"; reason: string };

export class MemoryGroup implements Disposable {
  constructor(
    readonly folder: string,
    readonly version: Version,
  ) {}

  /** A command that runs another one in the group. */
  enter(command: readonly string[]): string[] {
    return ["sh", "-c", `echo $$ > ${join(this.folder, "cgroup.procs")} && exec "$@"`, "sh", ...command];
  }

  /** Bytes of the processes' own memory. */
  get anonymousBytes(): number {
    const stat = readFileSync(join(this.folder, "memory.stat"), "utf8");
    return Number(this.version.anonymous.exec(stat)?.[1] ?? 0);
  }

  /** Processes that the kernel has ended in it for want of memory. */
  get kills(): number {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync(join(this.folder, this.version.kills), "utf8"))?.[1] ?? 0);
  }

  limit(bytes: number): void {
    writeFileSync(join(this.folder, this.version.limit), String(bytes));
  }

  /** Once its processes are gone. */
  [Symbol.dispose](): void {
    rmdirSync(this.folder);
  }
}

export function makeMemoryGroup(name: string): MadeGroup {
  const reasons: string[] = [];
  for (const version of VERSIONS) {
    const folder = join(version.root, name);
    try {
      mkdirSync(folder);
    } catch (thrown) {
      reasons.push((thrown as Error).message);
      continue;
    }
    try {
      // A group of version 2 has these files only where the one above shares the controller.
      for (const file of [version.limit, "cgroup.procs"]) accessSync(join(folder, file), constants.W_OK);
      return { kind: "made", group: new MemoryGroup(folder, version) };
    } catch (thrown) {
      rmdirSync(folder);
      reasons.push((thrown as Error).message);
    }
  }
  return { kind: "none", reason: reasons.join("; ") };
}
