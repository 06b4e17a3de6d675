// Compiles the stand-in for NVIDIA's library (stub.c) and writes what it says, to the file that was compiled into it.

import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MIB = 1024 ** 2;

export type StubState = Readonly<Record<string, string | number>>;

/** One device, as a driver of today tells of it. `at`: its index. */
export function stubDevice(at = 0, changes: StubState = {}): Record<string, string | number> {
  const values: StubState = {
    name: "NVIDIA Test 9000",
    uuid: `GPU-0000000${at}`,
    total: 24_576 * MIB,
    used: 1_024 * MIB,
    compute: 37,
    memory: 12,
    celsius: 54,
    power: 61_500,
    limit: 450_000,
    core: 2_520,
    mem: 10_501,
    throttle: 0,
    gen: 4,
    width: 16,
    major: 8,
    minor: 9,
    cores: 16_384,
    procs: `4242:${512 * MIB}`,
    ...changes,
  };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${at}.${name}`, value]));
}

export const STUB_DRIVER: StubState = { driver: "580.65.06", cuda: 13_000, count: 1 };

export class NvmlStub implements Disposable {
  readonly library: string;
  readonly stateFile: string;
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.library = join(folder, "libnvidia-ml.so.1");
    this.stateFile = join(folder, "state");
  }

  static async compile(defines: readonly string[] = []): Promise<NvmlStub> {
    const stub = new NvmlStub(mkdtempSync(join(tmpdir(), "mlo-nvml-")));
    const source = join(import.meta.dir, "stub.c");
    const state = `-DSTATE_FILE="${stub.stateFile}"`;
    const flags = ["-shared", "-fPIC", "-O1", "-w", state, ...defines.map((name) => `-D${name}`)];
    const compiler = Bun.spawn([Bun.which("cc") ?? "c++", ...flags, "-o", stub.library, source], { stderr: "inherit" });
    if ((await compiler.exited) !== 0) throw new Error("the stub does not compile");
    return stub;
  }

  /** At once for whoever looks: the library opens the file anew at each call. */
  say(...parts: readonly StubState[]): void {
    const lines = parts.flatMap((part) => Object.entries(part).map(([name, value]) => `${name} ${value}\n`));
    mkdirSync(this.#folder, { recursive: true });
    writeFileSync(`${this.stateFile}.part`, lines.join(""));
    renameSync(`${this.stateFile}.part`, this.stateFile);
  }

  /** For a program that is to find it. */
  get env(): Record<string, string> {
    return { ML_OFFLOAD_NVML: this.library };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
