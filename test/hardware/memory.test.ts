// Memory within control groups: recorded machines with version 2, version 1, both, none, nonsense, and missing files.

import { describe, expect, test } from "bun:test";
import { readCpuQuota } from "../../src/hardware/cgroup.ts";
import { readAvailableMemory, readMemory } from "../../src/hardware/memory.ts";
import { createExplain } from "../../src/hardware/reader.ts";
import { recordedSystem, under } from "../support/recorded-system.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** 16 GiB, of which 12 are available; 4 GiB of swap, of which 3 are free. */
const MEMINFO = {
  "/proc/meminfo": [
    `MemTotal:       ${16 * 1024 ** 2} kB`,
    `MemAvailable:   ${12 * 1024 ** 2} kB`,
    `SwapTotal:      ${4 * 1024 ** 2} kB`,
    `SwapFree:       ${3 * 1024 ** 2} kB`,
    "",
  ].join("\n"),
};

const V2_MOUNT =
  "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
const V1_MOUNTS = [
  "31 23 0:27 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755",
  "32 31 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory",
  "33 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct",
  "",
].join("\n");
const ROOT = "/sys/fs/cgroup";

function look(files: Record<string, string>) {
  const unknown: Record<string, string> = {};
  const { text } = recordedSystem(files);
  const memory = readMemory(text, createExplain(unknown));
  return { memory, unknown, available: readAvailableMemory(text), quota: readCpuQuota(text) };
}

describe("without groups", () => {
  test("it is the machine's", () => {
    const { memory, available, quota, unknown } = look(MEMINFO);
    expect(memory).toEqual({
      totalBytes: 16 * GIB,
      availableBytes: 12 * GIB,
      swapTotalBytes: 4 * GIB,
      swapFreeBytes: 3 * GIB,
      limitedBy: null,
      unified: false,
      pressure: null,
    });
    expect(available).toBe(12 * GIB);
    expect(quota).toBeNull();
    expect(unknown).toEqual({ "memory.pressure": "this kernel does not measure pressure (PSI)" });
  });

  test("and of a system that tells nothing it is null, each with a reason", () => {
    const { memory, available, unknown } = look({});
    expect(available).toBeNull();
    for (const name of ["totalBytes", "availableBytes", "swapTotalBytes", "swapFreeBytes"] as const) {
      expect(memory[name]).toBeNull();
      expect(unknown[`memory.${name}`]).toBe("/proc/meminfo does not tell it");
    }
  });

  test.each(["MemTotal: lots\nMemAvailable: -5 kB\n", "MemAvailable:\n", "\0\0", "MemTotal:  1e9 kB\n"])(
    "nonsense is unknown: %p",
    (text) => {
      expect(look({ "/proc/meminfo": text }).memory).toMatchObject({ totalBytes: null, availableBytes: null });
    },
  );
});

describe("version 2", () => {
  const nested = {
    ...MEMINFO,
    "/proc/self/cgroup": "0::/machine.slice/box.service/inner\n",
    "/proc/self/mountinfo": V2_MOUNT,
    ...under(`${ROOT}/machine.slice/box.service/inner`, {
      "memory.max": `${6 * GIB}\n`,
      "memory.high": "max\n",
      "memory.current": `${1 * GIB}\n`,
      "memory.swap.max": "max\n",
      "memory.swap.current": "0\n",
      "cpu.max": "max 100000\n",
    }),
    ...under(`${ROOT}/machine.slice/box.service`, {
      "memory.max": `${4 * GIB}\n`,
      "memory.current": `${3 * GIB}\n`,
      "memory.stat": `anon 5\nfile ${2 * GIB}\nactive_file ${512 * MIB}\ninactive_file ${1024 * MIB}\nslab_reclaimable 0\n`,
      "memory.swap.max": `${GIB}\n`,
      "memory.swap.current": `${GIB / 2}\n`,
      "cpu.max": "150000 100000\n",
    }),
    ...under(`${ROOT}/machine.slice`, {
      "memory.max": "max\n",
      "memory.current": `${5 * GIB}\n`,
      "cpu.max": "400000 100000\n",
    }),
  };

  test("the tightest of all levels holds, and page cache makes room but for what is in memory for good", () => {
    const { memory, available, quota } = look(nested);
    expect(memory.totalBytes).toBe(4 * GIB);
    expect(memory.limitedBy).toBe(`${ROOT}/machine.slice/box.service`);
    // 4 GiB less the 3 that are used, of which 1.5 are cache; the rest of `file` is memory that programs share.
    expect(available).toBe(2.5 * GIB);
    expect(memory.availableBytes).toBe(2.5 * GIB);
    expect(memory).toMatchObject({ swapTotalBytes: GIB, swapFreeBytes: GIB / 2 });
    expect(quota).toBe(1.5);
  });

  test("the level with the least left need not be the one with the lowest limit", () => {
    const busy = { ...nested, [`${ROOT}/machine.slice/memory.max`]: `${5 * GIB + 100 * MIB}\n` };
    const { memory } = look(busy);
    expect(memory.totalBytes).toBe(4 * GIB);
    expect(memory.availableBytes).toBe(100 * MIB);
  });

  test("a group that would be slowed down is as bounded as one that would be killed", () => {
    const slowed = { ...nested, [`${ROOT}/machine.slice/box.service/memory.high`]: `${3.5 * GIB}\n` };
    expect(look(slowed).memory).toMatchObject({ totalBytes: 3.5 * GIB, availableBytes: 2 * GIB });
  });

  test("inside a container's namespace the mount point is the container's own group", () => {
    const inside = {
      ...MEMINFO,
      "/proc/self/cgroup": "0::/\n",
      "/proc/self/mountinfo": V2_MOUNT,
      ...under(ROOT, { "memory.max": `${2 * GIB}\n`, "memory.current": `${GIB}\n`, "cpu.max": "50000 100000\n" }),
    };
    expect(look(inside).memory).toMatchObject({ totalBytes: 2 * GIB, availableBytes: GIB, limitedBy: ROOT });
    expect(look(inside).quota).toBe(0.5);
  });

  test("with the host's paths and the container's mount, the part that is not mounted is left out", () => {
    const inside = {
      ...MEMINFO,
      "/proc/self/cgroup": "0::/system.slice/docker-1.scope/worker\n",
      "/proc/self/mountinfo": V2_MOUNT.replace(" / /sys", " /system.slice/docker-1.scope /sys"),
      ...under(ROOT, { "memory.max": `${3 * GIB}\n`, "memory.current": "0\n" }),
      ...under(`${ROOT}/worker`, { "memory.max": `${2 * GIB}\n`, "memory.current": "0\n" }),
    };
    expect(look(inside).memory).toMatchObject({ totalBytes: 2 * GIB, limitedBy: `${ROOT}/worker` });
  });

  test.each(["0::/../outside\n", "0::/somewhere/else\n"])("a group that can't be seen: %p", (own) => {
    const outside = {
      ...MEMINFO,
      "/proc/self/cgroup": own,
      "/proc/self/mountinfo": V2_MOUNT,
      ...under(ROOT, { "memory.max": `${2 * GIB}\n`, "memory.current": `${GIB}\n` }),
    };
    expect(look(outside).memory).toMatchObject({ totalBytes: 2 * GIB, availableBytes: GIB });
  });

  test("a mount point with a space, and the usual place where mounts are hidden", () => {
    const spaced = {
      ...MEMINFO,
      "/proc/self/cgroup": "0::/a\n",
      "/proc/self/mountinfo": V2_MOUNT.replace("/sys/fs/cgroup", "/my\\040groups"),
      "/my groups/a/memory.max": `${GIB}\n`,
    };
    expect(look(spaced).memory).toMatchObject({ totalBytes: GIB, limitedBy: "/my groups/a" });
    const hidden = { ...MEMINFO, "/proc/self/cgroup": "0::/a\n", [`${ROOT}/a/memory.max`]: `${GIB}\n` };
    expect(look(hidden).memory).toMatchObject({ totalBytes: GIB, limitedBy: `${ROOT}/a` });
  });

  test.each([
    ["a limit that is none", { "memory.max": "banana\n", "memory.current": "1\n" }, 12 * GIB],
    ["a negative one", { "memory.max": "-1\n", "memory.current": "1\n" }, 12 * GIB],
    ["an empty file", { "memory.max": "", "memory.current": "" }, 12 * GIB],
    ["more used than allowed", { "memory.max": `${GIB}\n`, "memory.current": `${9 * GIB}\n` }, 0],
    [
      "more cache than used",
      { "memory.max": `${GIB}\n`, "memory.current": "5\n", "memory.stat": `active_file ${GIB}\n` },
      GIB,
    ],
    ["usage that is not told", { "memory.max": `${GIB}\n` }, GIB],
  ])("nonsense: %s", (_name, files, availableBytes) => {
    const odd = { ...MEMINFO, "/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": V2_MOUNT, ...under(ROOT, files) };
    expect(look(odd).available).toBe(availableBytes);
  });

  test("a limit above what the machine has limits nothing", () => {
    const wide = { ...nested };
    for (const path of Object.keys(wide))
      if (path.endsWith("memory.max")) Object.assign(wide, { [path]: `${64 * GIB}` });
    expect(look(wide).memory).toMatchObject({ totalBytes: 16 * GIB, availableBytes: 12 * GIB, limitedBy: null });
  });

  test("a path of a thousand levels ends", () => {
    const deep = { ...nested, "/proc/self/cgroup": `0::${"/a".repeat(1000)}\n` };
    expect(look(deep).memory.totalBytes).toBe(16 * GIB);
  });
});

describe("version 1", () => {
  const NONE = "9223372036854771712\n";
  const docker = {
    ...MEMINFO,
    "/proc/self/cgroup": "9:memory:/docker/abc/sub\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n",
    "/proc/self/mountinfo": V1_MOUNTS,
    ...under(`${ROOT}/memory/docker/abc/sub`, {
      "memory.limit_in_bytes": NONE,
      "memory.usage_in_bytes": `${GIB}\n`,
      "memory.stat": `hierarchical_memory_limit ${2 * GIB}\ntotal_active_file ${256 * MIB}\ntotal_inactive_file ${256 * MIB}\n`,
    }),
    ...under(`${ROOT}/memory/docker/abc`, {
      "memory.limit_in_bytes": `${2 * GIB}\n`,
      "memory.usage_in_bytes": `${1.5 * GIB}\n`,
      "memory.memsw.limit_in_bytes": `${3 * GIB}\n`,
      "memory.memsw.usage_in_bytes": `${1.75 * GIB}\n`,
      "memory.stat": "total_active_file 0\n",
    }),
    ...under(`${ROOT}/memory`, { "memory.limit_in_bytes": NONE, "memory.usage_in_bytes": `${9 * GIB}\n` }),
    ...under(`${ROOT}/cpu,cpuacct/docker/abc`, { "cpu.cfs_quota_us": "250000\n", "cpu.cfs_period_us": "100000\n" }),
    ...under(`${ROOT}/cpu,cpuacct`, { "cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n" }),
  };

  test("the tightest level holds, with its swap and its processor time", () => {
    const { memory, quota } = look(docker);
    expect(memory).toMatchObject({ totalBytes: 2 * GIB, availableBytes: GIB / 2 });
    expect(memory).toMatchObject({ swapTotalBytes: GIB, swapFreeBytes: 0.75 * GIB });
    expect(memory.limitedBy).toBe(`${ROOT}/memory/docker/abc`);
    expect(quota).toBe(2.5);
  });

  test("a limit of groups above the mount is known too", () => {
    const inside = {
      ...MEMINFO,
      "/proc/self/cgroup": "9:memory:/docker/abc\n",
      "/proc/self/mountinfo": V1_MOUNTS.replace("/ /sys/fs/cgroup/memory", "/docker/abc /sys/fs/cgroup/memory"),
      ...under(`${ROOT}/memory`, {
        "memory.limit_in_bytes": NONE,
        "memory.usage_in_bytes": `${GIB}\n`,
        "memory.stat": `hierarchical_memory_limit ${3 * GIB}\n`,
      }),
    };
    expect(look(inside).memory).toMatchObject({ totalBytes: 3 * GIB, availableBytes: 2 * GIB });
  });

  test("both versions at once: each mount is looked at, the empty one bounds nothing", () => {
    const hybrid = {
      ...docker,
      "/proc/self/cgroup": `${docker["/proc/self/cgroup"]}0::/user.slice\n`,
      "/proc/self/mountinfo": `${V1_MOUNTS}34 31 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n`,
      [`${ROOT}/unified/user.slice/cgroup.procs`]: "1\n",
    };
    expect(look(hybrid)).toEqual(look(docker));
    const bounded = { ...hybrid, [`${ROOT}/unified/user.slice/memory.max`]: `${GIB}\n` };
    expect(look(bounded).memory.totalBytes).toBe(GIB);
  });
});

describe("pressure", () => {
  const own = { ...MEMINFO, "/proc/self/cgroup": "0::/a\n", "/proc/self/mountinfo": V2_MOUNT };
  const psi = (some: string, full: string) =>
    `some avg10=${some} avg60=1.00 avg300=0.00 total=130\nfull avg10=${full} avg60=0.00 avg300=0.00 total=89\n`;

  test.each([
    ["0.00", "0.00", "normal"],
    ["9.99", "0.00", "normal"],
    ["10.00", "0.00", "warning"],
    ["80.50", "9.00", "warning"],
    ["80.50", "10.00", "critical"],
  ] as const)("some %s, full %s: %s", (some, full, expected) => {
    expect(look({ ...own, "/proc/pressure/memory": psi(some, full) }).memory.pressure).toBe(expected);
  });

  test("is the worst of the machine and of the own group", () => {
    const files = {
      ...own,
      "/proc/pressure/memory": psi("0.00", "0.00"),
      [`${ROOT}/a/memory.pressure`]: psi("50.00", "20.00"),
    };
    expect(look(files).memory.pressure).toBe("critical");
  });

  test("nonsense is unknown", () => {
    expect(look({ ...own, "/proc/pressure/memory": "off\n" }).memory.pressure).toBeNull();
  });
});
