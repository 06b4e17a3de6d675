// Cline's own command line program, for tests: fetched once into build/ by its exact version and checked by its hash,
// and run with a home of its own. Its npm package `cline` is a script that starts this program, with 300 MB of packages
// beside it that the program does not use. It must reach nothing but the server under test: a proxy that forwards nothing
// takes and records whatever else it asks for.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runToEnd } from "./binary.ts";
import { cleanEnvironment } from "./child-process.ts";

const VERSION = "3.0.65";
/** Of the npm packages that hold the program, by platform. */
const INTEGRITY: Record<string, string> = {
  "linux-x64": "sha512-YRDt0eNj/XEMB7DeMeOeE92jQFf7DyKGCysStxrk+mIKdO0GVPugDG4yxsmKtBouBnaRVteW3NwYEnSq2kah8A==",
};
const PLATFORM = `${process.platform}-${process.arch}`;
const PACKAGE = `@cline/cli-${PLATFORM}`;
const FOLDER = join(import.meta.dir, `../../build/cline-${VERSION}`);
const PROGRAM = join("node_modules", PACKAGE, "bin", "cline");

/** 60 MB to fetch. */
const FETCH_TIMEOUT_MS = 240_000;
/** A task of three turns takes seconds. */
const RUN_TIMEOUT_MS = 120_000;

export type ClineProgram = { kind: "here"; path: string } | { kind: "absent"; reason: string };

/** Absent where Cline has no program for the platform, or where the registry can't be reached. Throws for a wrong hash. */
export async function fetchCline(): Promise<ClineProgram> {
  const integrity = INTEGRITY[PLATFORM];
  if (integrity === undefined) return { kind: "absent", reason: `no hash of Cline's program for ${PLATFORM} is known` };
  if (existsSync(join(FOLDER, PROGRAM))) return { kind: "here", path: join(FOLDER, PROGRAM) };
  // Two test processes may fetch it at once.
  const partial = `${FOLDER}.${process.pid}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(partial, { recursive: true });
  try {
    writeFileSync(join(partial, "package.json"), JSON.stringify({ dependencies: { [PACKAGE]: VERSION } }));
    const reason = await install(partial);
    if (reason !== null) return { kind: "absent", reason };
    if (!readFileSync(join(partial, "bun.lock"), "utf8").includes(integrity)) {
      throw new Error(`${PACKAGE}@${VERSION} is not what it was: its hash is another`);
    }
    if (!existsSync(FOLDER)) renameSync(partial, FOLDER);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return { kind: "here", path: join(FOLDER, PROGRAM) };
}

/** Null: it is there. Else why not. */
async function install(folder: string): Promise<string | null> {
  const child = Bun.spawn([process.execPath, "install", "--ignore-scripts"], {
    cwd: folder,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
    timeout: FETCH_TIMEOUT_MS,
  });
  const [said] = await Promise.all([new Response(child.stderr).text(), child.exited]);
  return child.exitCode === 0 ? null : `npm's registry gave no ${PACKAGE}@${VERSION}: ${said.trim().slice(-300)}`;
}

export interface ClineRun {
  code: number | null;
  /** The lines of `--json`. */
  events: { type?: string; [field: string]: unknown }[];
  log: string;
}

export interface Cline extends Disposable {
  /** In `folder`, which relative paths in tool calls are of. */
  run(folder: string, ...args: string[]): Promise<ClineRun>;
  /** What it wanted from other machines. */
  strays(): readonly string[];
}

/** Its state is all in `home`. */
export function startCline(program: string, home: string): Cline {
  const strays: string[] = [];
  const proxy = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        strays.push(bytes.toString("latin1").split("\r\n", 1)[0] ?? "");
        socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      },
    },
  });
  const settings = join(home, "global-settings.json");
  writeFileSync(settings, JSON.stringify({ telemetryOptOut: true, autoUpdateEnabled: false }));
  const url = `http://127.0.0.1:${proxy.port}`;
  const env = cleanEnvironment({
    HOME: home,
    CLINE_GLOBAL_SETTINGS_PATH: settings,
    CLINE_NO_AUTO_UPDATE: "1",
  });
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]) {
    env[name] = url;
    env[name.toLowerCase()] = url;
  }
  env.NO_PROXY = env.no_proxy = "127.0.0.1";
  return {
    run: (folder, ...args) => runProgram([program, ...args], env, folder),
    strays: () => strays,
    [Symbol.dispose]: () => proxy.stop(true),
  };
}

async function runProgram(command: string[], env: Record<string, string>, cwd: string): Promise<ClineRun> {
  const { code, stdout, stderr } = await runToEnd(command, { env, cwd, stdin: "ignore", timeout: RUN_TIMEOUT_MS });
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  return { code, events: lines.map((line) => JSON.parse(line)), log: `${stdout}\n${stderr}` };
}
