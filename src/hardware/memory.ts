// Memory and swap: what the system says, within what the control groups allow. Unknown is null, never a guess.

import type { MemorySnapshot } from "../protocol/machine.ts";
import { leastOf, listGroups, readMemoryGroups } from "./cgroup.ts";
import { type Explain, type ReadText, systemReader } from "./reader.ts";

/** What a new process could take without swapping, in bytes; null where the system does not tell. */
export function readAvailableMemory(read: ReadText = systemReader.text): number | null {
  const system = readInfo(read("/proc/meminfo") ?? "", "MemAvailable");
  if (system === null) return null;
  return leastOf(system, ...readMemoryGroups(read).map(({ limitBytes, leftBytes }) => leastOf(limitBytes, leftBytes)));
}

export function readMemory(read: ReadText, explain: Explain): MemorySnapshot {
  const info = read("/proc/meminfo") ?? "";
  const groups = readMemoryGroups(read);
  const total = readInfo(info, "MemTotal");
  // Version 1 repeats a limit on each level below the one that sets it.
  const bounds = groups.filter(({ limitBytes }) => limitBytes !== null && limitBytes < (total ?? Infinity));
  const limitBytes = leastOf(...bounds.map((group) => group.limitBytes));
  const tightest = bounds.findLast((group) => group.limitBytes === limitBytes);
  const swapTotal = readInfo(info, "SwapTotal");
  const swapFree = readInfo(info, "SwapFree");
  const untold = "/proc/meminfo does not tell it";
  return {
    totalBytes: leastOf(total, limitBytes) ?? explain("memory.totalBytes", untold),
    availableBytes: readAvailableMemory(read) ?? explain("memory.availableBytes", untold),
    swapTotalBytes:
      swapTotal === null
        ? explain("memory.swapTotalBytes", untold)
        : leastOf(swapTotal, ...groups.map((group) => group.swapLimitBytes)),
    swapFreeBytes:
      swapFree === null
        ? explain("memory.swapFreeBytes", untold)
        : leastOf(swapFree, ...groups.map((group) => group.swapLeftBytes)),
    limitedBy: tightest?.folder ?? null,
    unified: false,
    pressure: readPressure(read, explain),
  };
}

function readInfo(info: string, name: string): number | null {
  const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(info)?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) * 1024;
}

/**
 * Of the last ten seconds, the percentage in which a task waited for memory (`some`), or all of them did (`full`). Below a
 * tenth a load is hardly slowed down; when nothing at all runs for a tenth of the time, more load makes it thrash.
 */
const WAITING_PERCENT = 10;

/** Of the machine, and of this process's groups: the worst. */
function readPressure(read: ReadText, explain: Explain): MemorySnapshot["pressure"] {
  const groups = listGroups("memory", read).filter(({ version }) => version === 2);
  const files = ["/proc/pressure/memory", ...groups.map(({ path }) => `${path}/memory.pressure`)];
  const texts = files.map((file) => read(file)).filter((text) => text !== null && /^some avg10=/m.test(text));
  if (texts.length === 0) return explain("memory.pressure", "this kernel does not measure pressure (PSI)");
  const worst = (kind: string): number =>
    Math.max(...texts.map((text) => Number(new RegExp(`^${kind} avg10=([\\d.]+)`, "m").exec(text ?? "")?.[1] ?? 0)));
  if (worst("full") >= WAITING_PERCENT) return "critical";
  return worst("some") >= WAITING_PERCENT ? "warning" : "normal";
}
