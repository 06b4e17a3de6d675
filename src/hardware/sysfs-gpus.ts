// AMD's and Intel's GPUs, as their kernel drivers tell of them in /sys/class/drm, and which GPUs are in the machine at all,
// driver or not. Pure but for the reader. Was never run on such a machine: the names are those of the kernel's documentation.

import type { DeviceSnapshot } from "../protocol/machine.ts";
import { CREDIBLE, type Reading, takeFigure, takeMemory, unknownDevice } from "./device.ts";
import { type Explain, parseCount, type SystemReader } from "./reader.ts";

const DRM = "/sys/class/drm";
const PCI = "/sys/bus/pci/devices";
/** More is no machine. */
const CARDS_MAX = 64;

type Vendor = "amd" | "intel" | "nvidia";
const VENDORS: Readonly<Record<string, Vendor>> = { "0x1002": "amd", "0x8086": "intel", "0x10de": "nvidia" };

/** Display controllers and 3D ones: what servers have computes without showing anything. */
const DISPLAY_CLASSES = /^0x03(00|02|80)/;

/** How many GPUs of a maker sit on the PCI bus, whether or not a driver knows them. */
export function countPciGpus(vendor: Vendor, { text, list }: SystemReader): number {
  return list(PCI).filter((address) => {
    const isOurs = VENDORS[text(`${PCI}/${address}/vendor`)?.trim() ?? ""] === vendor;
    return isOurs && DISPLAY_CLASSES.test(text(`${PCI}/${address}/class`)?.trim() ?? "");
  }).length;
}

/** `first`: the index that the first one gets in the snapshot, for the paths of reasons. */
export function readSysfsGpus(system: SystemReader, first: number, explain: Explain): DeviceSnapshot[] {
  const cards = system
    .list(DRM)
    .filter((name) => /^card\d+$/.test(name))
    .slice(0, CARDS_MAX);
  const known = cards.flatMap((card) => {
    const vendor = VENDORS[system.text(`${DRM}/${card}/device/vendor`)?.trim() ?? ""];
    // NVIDIA's own library tells more.
    return vendor === "amd" || vendor === "intel" ? [{ card, vendor }] : [];
  });
  return known.map(({ card, vendor }, at) => {
    const path = `devices.${first + at}`;
    const sensors = new Sensors(system, `${DRM}/${card}/device`);
    return vendor === "amd" ? readAmd(sensors, card, path, explain) : readIntel(sensors, card, path, explain);
  });
}

/** The files of one card. */
class Sensors {
  readonly #system: SystemReader;
  readonly #folder: string;
  readonly #hwmon: string | null;

  constructor(system: SystemReader, folder: string) {
    this.#system = system;
    this.#folder = folder;
    const [hwmon] = system.list(`${folder}/hwmon`);
    this.#hwmon = hwmon === undefined ? null : `${folder}/hwmon/${hwmon}`;
  }

  text(name: string): string | null {
    return this.#system.text(`${this.#folder}/${name}`)?.trim() || null;
  }

  /** Divided by `unit`. Names of sensors begin with `hwmon/`. */
  count(unit: number, ...names: string[]): Reading<number> {
    for (const name of names) {
      const path = name.startsWith("hwmon/") ? `${this.#hwmon}/${name.slice(6)}` : `${this.#folder}/${name}`;
      const value = parseCount(this.#system.text(path));
      if (value !== null) return { value: value / unit };
    }
    return { reason: "the kernel's driver does not tell it" };
  }
}

function readAmd(sensors: Sensors, card: string, path: string, explain: Explain): DeviceSnapshot {
  const unique = sensors.text("unique_id");
  const name = sensors.text("product_name") ?? `AMD GPU ${sensors.text("device") ?? card}`;
  const device = unknownDevice(`rocm:${unique ?? card}`, "rocm", name);
  const memory = [sensors.count(1, "mem_info_vram_total"), sensors.count(1, "mem_info_vram_used")] as const;
  return {
    ...device,
    ...takeMemory(...memory, path, explain),
    ...readCommon(sensors, path, explain),
    utilization: {
      compute: takeShare(sensors.count(1, "gpu_busy_percent"), `${path}.utilization.compute`, explain),
      memory: takeShare(sensors.count(1, "mem_busy_percent"), `${path}.utilization.memory`, explain),
    },
    clocksMhz: {
      core: takeClock(sensors.count(1e6, "hwmon/freq1_input"), `${path}.clocksMhz.core`, explain),
      memory: takeClock(sensors.count(1e6, "hwmon/freq2_input"), `${path}.clocksMhz.memory`, explain),
    },
  };
}

/** Its drivers tell how much memory a card has of its own, but not what of it is used. */
function readIntel(sensors: Sensors, card: string, path: string, explain: Explain): DeviceSnapshot {
  const device = unknownDevice(`sycl:${card}`, "sycl", `Intel GPU ${sensors.text("device") ?? card}`);
  const total = sensors.count(1, "tile0/physical_vram_size_bytes", `drm/${card}/lmem_total_bytes`);
  const used = { reason: "Intel's kernel drivers do not tell it" };
  const isShared = "reason" in total;
  const reason = isShared ? { reason: "it has no memory of its own, or its driver does not tell" } : total;
  const clock = sensors.count(1, `drm/${card}/gt_act_freq_mhz`, "tile0/gt0/freq0/act_freq");
  return {
    ...device,
    ...takeMemory(reason, used, path, explain),
    ...readCommon(sensors, path, explain),
    utilization: {
      compute: explain(`${path}.utilization.compute`, used.reason),
      memory: explain(`${path}.utilization.memory`, used.reason),
    },
    clocksMhz: {
      core: takeClock(clock, `${path}.clocksMhz.core`, explain),
      memory: explain(`${path}.clocksMhz.memory`, used.reason),
    },
  };
}

function readCommon(sensors: Sensors, path: string, explain: Explain) {
  const watts = sensors.count(1e6, "hwmon/power1_average", "hwmon/power1_input");
  const limit = sensors.count(1e6, "hwmon/power1_cap", "hwmon/power1_max");
  return {
    processes: explain(`${path}.processes`, "the kernel tells it to each process's owner alone"),
    temperatureCelsius: takeFigure(
      sensors.count(1000, "hwmon/temp1_input"),
      CREDIBLE.celsius,
      `${path}.temperatureCelsius`,
      explain,
    ),
    powerWatts: takeFigure(watts, CREDIBLE.watts, `${path}.powerWatts`, explain),
    powerLimitWatts: takeFigure(limit, CREDIBLE.watts, `${path}.powerLimitWatts`, explain),
    throttleReasons: explain(`${path}.throttleReasons`, "the kernel's driver does not tell it"),
    pcie: readPcie(sensors, path, explain),
    computeCapability: explain(`${path}.computeCapability`, "only NVIDIA's devices have one"),
    cores: explain(`${path}.cores`, "the kernel's driver does not tell it"),
  };
}

/** GT/s of one lane, by generation from the first. */
const LANE_SPEEDS = [2.5, 5, 8, 16, 32, 64];

function readPcie(sensors: Sensors, path: string, explain: Explain): DeviceSnapshot["pcie"] {
  const speed = Number.parseFloat(sensors.text("current_link_speed") ?? "");
  const width = parseCount(sensors.text("current_link_width"));
  const generation = LANE_SPEEDS.indexOf(speed) + 1;
  const untold = "the kernel does not tell its link";
  if (generation === 0 && !width) return explain(`${path}.pcie`, untold);
  return {
    generation: generation === 0 ? explain(`${path}.pcie.generation`, untold) : generation,
    width: width || explain(`${path}.pcie.width`, untold),
  };
}

function takeShare(reading: Reading<number>, path: string, explain: Explain): number | null {
  const percent = takeFigure(reading, CREDIBLE.percent, path, explain);
  return percent === null ? null : percent / 100;
}

function takeClock(reading: Reading<number>, path: string, explain: Explain): number | null {
  return takeFigure(reading, CREDIBLE.megahertz, path, explain);
}
