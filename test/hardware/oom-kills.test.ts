// Counts of kills from recorded systems: both versions of control groups, containers, and systems that tell nothing.

import { describe, expect, test } from "bun:test";
import { explainOomKill, type OomKills, readOomKills } from "../../src/hardware/oom-kills.ts";

const VMSTAT = { "/proc/vmstat": "nr_free_pages 5\noom_kill 7\noom_kill_x 9\n" };
const NOTHING: OomKills = { group: null, machine: null, limitBytes: null, peakBytes: null };

const V1_MOUNT = "30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";

const readFrom = (files: Record<string, string>) => readOomKills((path) => files[path] ?? null);

describe("reading", () => {
  test("version 1, in a group of its own, beside a version 2 that accounts nothing", () => {
    const folder = "/sys/fs/cgroup/memory/user/app";
    const files = {
      ...VMSTAT,
      "/proc/self/cgroup": "8:pids:/user\n4:memory:/user/app\n0::/\n",
      "/proc/self/mountinfo": `${V1_MOUNT}\n31 25 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n`,
      [`${folder}/memory.oom_control`]: "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
      [`${folder}/memory.limit_in_bytes`]: "1073741824\n",
      [`${folder}/memory.max_usage_in_bytes`]: "1073000000\n",
    };
    expect(readFrom(files)).toEqual({ group: 3, machine: 7, limitBytes: 1073741824, peakBytes: 1073000000 });
    const unlimited = { ...files, [`${folder}/memory.limit_in_bytes`]: "9223372036854771712\n" };
    expect(readFrom(unlimited).limitBytes).toBeNull();
  });

  test("version 1 with several controllers together", () => {
    const files = {
      "/proc/self/cgroup": "3:cpu,memory:/a\n",
      "/proc/self/mountinfo": `${V1_MOUNT}\n`,
      "/sys/fs/cgroup/memory/a/memory.oom_control": "oom_kill 1\n",
    };
    expect(readFrom(files)).toEqual({ ...NOTHING, group: 1 });
  });

  test("version 2", () => {
    const folder = "/sys/fs/cgroup/system.slice/app.service";
    const files = {
      ...VMSTAT,
      "/proc/self/cgroup": "0::/system.slice/app.service\n",
      [`${folder}/memory.events`]: "low 0\nhigh 0\nmax 12\noom 2\noom_kill 2\noom_group_kill 0\n",
      [`${folder}/memory.max`]: "max\n",
      [`${folder}/memory.peak`]: "5000\n",
    };
    expect(readFrom(files)).toEqual({ group: 2, machine: 7, limitBytes: null, peakBytes: 5000 });
  });

  test("in a container, whose path begins above what it sees", () => {
    const files = {
      "/proc/self/cgroup": "0::/docker/0123\n",
      "/sys/fs/cgroup/memory.events": "oom_kill 4\n",
      "/sys/fs/cgroup/memory.max": "2000\n",
    };
    expect(readFrom(files)).toEqual({ ...NOTHING, group: 4, limitBytes: 2000 });
  });

  test.each([
    [{}],
    [{ "/proc/self/cgroup": "" }],
    [{ "/proc/self/cgroup": "0::/a\n" }],
    [{ "/proc/self/cgroup": "nonsense\n:::\n" }],
    [{ "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.events": "oom_kill x\n" }],
  ] as Record<string, string>[][])("nothing is known from %j", (files) => {
    expect(readFrom(files)).toEqual(NOTHING);
  });
});

describe("explaining", () => {
  const at = (changes: Partial<OomKills>): OomKills => ({ ...NOTHING, group: 1, machine: 5, ...changes });

  test("nothing rose, or nothing is known: it was something else", () => {
    expect(explainOomKill(at({}), at({}))).toBeNull();
    expect(explainOomKill(NOTHING, at({ group: 9 }))).toBeNull();
    expect(explainOomKill(at({}), NOTHING)).toBeNull();
  });

  test("the group's own limit, with the figures that are known", () => {
    expect(explainOomKill(at({}), at({ group: 2, machine: 6, limitBytes: 100, peakBytes: 99 }))).toBe(
      "the memory of its control group ran out (limit 100 bytes, most ever used 99 bytes)",
    );
    expect(explainOomKill(at({}), at({ group: 2 }))).toBe("the memory of its control group ran out");
  });

  test("the machine's, or a limit further up", () => {
    expect(explainOomKill(at({}), at({ machine: 6 }))).toBe(
      "the machine's memory, or that of a group around it, ran out",
    );
    expect(explainOomKill(at({ group: null }), at({ group: null, machine: 6 }))).not.toBeNull();
  });
});

test.skipIf(process.platform !== "linux")("this system can be read, and nothing rises by itself", () => {
  const kills = readOomKills();
  expect(kills.machine === null || kills.machine >= 0).toBe(true);
  expect(explainOomKill(kills, kills)).toBeNull();
});
