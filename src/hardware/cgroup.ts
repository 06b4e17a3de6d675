// What the control groups of this process allow it: memory, swap and processor time, of version 1, 2 and both. A group is
// bound by every group above it, so each level up to the highest one that can be seen from here counts.

import { parseCount, type ReadText } from "./reader.ts";

interface Mount {
  version: 1 | 2;
  /** The group that the mount point shows: inside a container often not the root. */
  root: string;
  point: string;
  controllers: string[];
}

export interface GroupFolder {
  version: 1 | 2;
  path: string;
}

/** One level's bounds. Null: it sets none. */
export interface MemoryGroup {
  folder: string;
  limitBytes: number | null;
  /** Of the limit, what is still free or page cache that makes room; null: not told. */
  leftBytes: number | null;
  swapLimitBytes: number | null;
  swapLeftBytes: number | null;
}

/** A deeper nesting than any container has; a longer path is nonsense. */
const LEVELS_MAX = 64;
/** Version 1 says "no limit" with the largest number of pages. */
const NO_LIMIT_BYTES = 2 ** 60;

/** The folders of this process's groups, each from its own up to the mount point. */
export function listGroups(controller: "memory" | "cpu", read: ReadText): GroupFolder[] {
  const paths = readOwnPaths(read("/proc/self/cgroup") ?? "");
  const mounts = readMounts(read("/proc/self/mountinfo") ?? "");
  // Some containers hide the list of mounts: the usual place then is all there is to look at.
  if (mounts.length === 0) mounts.push({ version: 2, root: "/", point: "/sys/fs/cgroup", controllers: [] });
  return mounts.flatMap((mount) => {
    if (mount.version === 1 && !mount.controllers.includes(controller)) return [];
    const own = mount.version === 2 ? paths.get("") : paths.get(controller);
    return climb(pathBelow(mount, own ?? "/")).map((path) => ({ version: mount.version, path: mount.point + path }));
  });
}

/** Controller → path; version 2 has the empty name. */
function readOwnPaths(text: string): Map<string, string> {
  const paths = new Map<string, string>();
  for (const [, controllers = "", path = "/"] of text.matchAll(/^\d+:([^:\n]*):(\/.*)$/gm)) {
    for (const controller of controllers.split(",")) paths.set(controller, path);
  }
  return paths;
}

function readMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line): Mount[] => {
    const fields = line.split(" ");
    const dash = fields.indexOf("-");
    const [root, point, kind] = [fields[3], fields[4], fields[dash + 1]];
    if (dash < 0 || root === undefined || point === undefined) return [];
    const place = { root: decodeOctal(root), point: decodeOctal(point) };
    if (kind === "cgroup2") return [{ version: 2, ...place, controllers: [] }];
    if (kind !== "cgroup") return [];
    return [{ version: 1, ...place, controllers: (fields.at(-1) ?? "").split(",") }];
  });
}

/** The kernel writes spaces and the like as octal numbers. */
function decodeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** Empty: the mount point itself, also where the process's group can't be seen below it. */
function pathBelow({ root }: Mount, own: string): string {
  const base = root === "/" ? "" : root;
  const isBelow = own === base || own.startsWith(`${base}/`);
  return isBelow && !own.split("/").includes("..") ? own.slice(base.length).replace(/\/$/, "") : "";
}

/** `/a/b` → `/a/b`, `/a`, and the empty path. */
function climb(path: string): string[] {
  const parts = path.split("/").slice(1, LEVELS_MAX);
  return [...parts.map((_, at) => `/${parts.slice(0, parts.length - at).join("/")}`), ""];
}

export function readMemoryGroups(read: ReadText): MemoryGroup[] {
  return listGroups("memory", read).map(({ version, path }) => {
    const file = (name: string): string | null => read(`${path}/${name}`);
    return { folder: path, ...(version === 2 ? readVersion2(file) : readVersion1(file)) };
  });
}

type Bounds = Omit<MemoryGroup, "folder">;

function readVersion2(file: ReadText): Bounds {
  // Above `high` the kernel does not kill, but slows the group down until it is as good as dead.
  const limitBytes = leastOf(parseCount(file("memory.max")), parseCount(file("memory.high")));
  const stat = file("memory.stat") ?? "";
  const cacheBytes = sumOf(stat, ["active_file", "inactive_file", "slab_reclaimable"]);
  const swapLimitBytes = parseCount(file("memory.swap.max"));
  return {
    limitBytes,
    leftBytes: leftOf(limitBytes, parseCount(file("memory.current")), cacheBytes),
    swapLimitBytes,
    swapLeftBytes: leftOf(swapLimitBytes, parseCount(file("memory.swap.current")), 0),
  };
}

function readVersion1(file: ReadText): Bounds {
  const stat = file("memory.stat") ?? "";
  const own = limitOf(parseCount(file("memory.limit_in_bytes")));
  // Also of groups above the mount point, which can't be seen themselves.
  const above = /^hierarchical_memory_limit (\d+)$/m.exec(stat)?.[1] ?? null;
  const limitBytes = leastOf(own, limitOf(parseCount(above)));
  const usedBytes = parseCount(file("memory.usage_in_bytes"));
  const both = limitOf(parseCount(file("memory.memsw.limit_in_bytes")));
  const bothUsedBytes = parseCount(file("memory.memsw.usage_in_bytes"));
  const swapLimitBytes = both === null || limitBytes === null ? null : Math.max(0, both - limitBytes);
  const swapUsedBytes = bothUsedBytes === null || usedBytes === null ? null : bothUsedBytes - usedBytes;
  return {
    limitBytes,
    leftBytes: leftOf(limitBytes, usedBytes, sumOf(stat, ["total_active_file", "total_inactive_file"])),
    swapLimitBytes,
    swapLeftBytes: leftOf(swapLimitBytes, swapUsedBytes, 0),
  };
}

function limitOf(bytes: number | null): number | null {
  return bytes === null || bytes >= NO_LIMIT_BYTES ? null : bytes;
}

function leftOf(limit: number | null, used: number | null, cache: number): number | null {
  if (limit === null || used === null) return null;
  return Math.min(limit, Math.max(0, limit - Math.max(0, used - cache)));
}

function sumOf(stat: string, names: readonly string[]): number {
  const values = names.map((name) => Number(new RegExp(`^${name} (\\d+)$`, "m").exec(stat)?.[1] ?? 0));
  return values.reduce((sum, value) => sum + value, 0);
}

/** Null counts as no bound. */
export function leastOf(...values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : Math.min(...known);
}

/** Processors' worth of time, such as 1.5; null: no group bounds it. */
export function readCpuQuota(read: ReadText): number | null {
  const quotas = listGroups("cpu", read).map(({ version, path }) => {
    if (version === 1) {
      return shareOf(read(`${path}/cpu.cfs_quota_us`), read(`${path}/cpu.cfs_period_us`));
    }
    const [quota = null, period = null] = (read(`${path}/cpu.max`) ?? "").trim().split(" ");
    return shareOf(quota, period);
  });
  return leastOf(...quotas);
}

/** Version 1 says -1 for no bound, version 2 `max`. */
function shareOf(quota: string | null, period: string | null): number | null {
  const [time, of] = [parseCount(quota), parseCount(period)];
  return time === null || of === null || time === 0 || of === 0 ? null : time / of;
}
