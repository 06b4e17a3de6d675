// The compiled file under test: ML_OFFLOAD_BINARY, else the one that `build.ts binary` leaves in dist/. Runs it to its
// end, or starts its server, always with an empty home.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanEnvironment } from "./child-process.ts";
import { type Server, type ServerOptions, startServer } from "./server.ts";

export const BINARY =
  process.env.ML_OFFLOAD_BINARY ??
  join(import.meta.dir, "../../dist", `ml-offload-${process.platform}-${process.arch}`);

/** Extracted libraries, shared by the tests that do not look at the extraction. */
const SHARED_CACHE = join(import.meta.dir, "../../build/test-cache");

/** Hang limit of a run that ends by itself: a first start with its self-tests is the longest. */
const RUN_TIMEOUT_MS = 60_000;

export interface RunResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  env?: Record<string, string>;
  /** Written to stdin, which else is empty. */
  input?: string;
  cwd?: string;
  /** Another copy of the binary. */
  program?: string;
}

export function assertBinary(): void {
  if (!existsSync(BINARY)) throw new Error(`${BINARY} is not there: npm run build makes it`);
}

/** A folder of its own, removed when the scope ends. */
export function makeFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "mlo-binary-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** The environment of a home folder, with nothing of the developer's own settings. */
export function homeEnvironment(home: string, extra: Record<string, string> = {}): Record<string, string> {
  const env = cleanEnvironment({ HOME: home, XDG_CACHE_HOME: SHARED_CACHE, ...extra });
  for (const name of ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"]) {
    if (extra[name] === undefined) delete env[name];
  }
  return env;
}

/** Runs the binary to its end. */
export async function runBinary(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  assertBinary();
  using home = makeFolder();
  return await runToEnd([options.program ?? BINARY, ...args], {
    env: options.env ?? homeEnvironment(home.path),
    cwd: options.cwd ?? home.path,
    stdin: options.input === undefined ? "ignore" : new Blob([options.input]),
    timeout: RUN_TIMEOUT_MS,
  });
}

interface ProgramOptions {
  env: Record<string, string>;
  cwd: string;
  stdin: "ignore" | Blob;
  /** Milliseconds until it is killed. */
  timeout: number;
}

/** Runs any program to its end. */
export async function runToEnd(command: string[], options: ProgramOptions): Promise<RunResult> {
  const child = Bun.spawn(command, { ...options, stdout: "pipe", stderr: "pipe", killSignal: "SIGKILL" });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code: child.exitCode, stdout, stderr };
}

/** `serve` of the compiled binary. */
export async function startBinary(options: Omit<ServerOptions, "program"> = {}): Promise<Server> {
  assertBinary();
  return await startServer({ ...options, program: [BINARY] });
}

export interface EngineReport {
  model: string;
  pid: number;
  stats: {
    waiting: number;
    running: number;
    paused: number;
    ledger: { total: number; used: number };
    retained: { sequences: number; tokens: number };
    cells: { size: number; used: number }[];
    handles: Record<string, number>;
    steps: number;
    decodedTokens: number;
    evaluatedTokens: number;
  };
}

/** What the server says of its engines. */
export async function readEngines(url: string): Promise<EngineReport[]> {
  const response = await fetch(`${url}/api/backend/info`, { signal: AbortSignal.timeout(30_000) });
  return ((await response.json()) as { engines: EngineReport[] }).engines;
}

/** The report of the one engine that is expected to run. */
export async function readEngine(url: string): Promise<EngineReport> {
  const [engine] = await readEngines(url);
  if (engine === undefined) throw new Error("no engine is running");
  return engine;
}

/** Polls until the condition holds; the limit only ends a test that hangs. */
export async function waitFor(what: string, condition: () => boolean | Promise<boolean>, hangMs = 30_000) {
  const deadline = performance.now() + hangMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${hangMs} ms in vain: ${what}`);
    await Bun.sleep(10);
  }
}

/** True while the process runs; a zombie has ended. */
export async function isRunning(pid: number): Promise<boolean> {
  const stat = await Bun.file(`/proc/${pid}/stat`)
    .text()
    .catch(() => null);
  return stat !== null && !/^\d+ \(.*\) Z/s.test(stat);
}
