// Running other programs during set-up: a missing tool or a failed step ends in one clear sentence.
// Used by build.ts and what it calls; the server itself never runs any of this.

/** A step of the set-up that failed, already explained: printed without a stack. */
export class SetupError extends Error {}

const INSTALL_HINTS: Record<string, string> = {
  git: "install it with your package manager (Debian: apt-get install git; NixOS: nix-shell -p git; macOS: xcode-select --install)",
  npm: "install Node.js, which brings it (Debian: apt-get install npm; NixOS: nix-shell -p nodejs; macOS: brew install node)",
  cmake: "install it (Debian: apt-get install cmake; NixOS: nix-shell -p cmake; macOS: brew install cmake)",
  "c++":
    "install a C++17 compiler (Debian: apt-get install g++; NixOS: nix-shell -p gcc; macOS: xcode-select --install)",
  nvcc: "install NVIDIA's CUDA toolkit and put its bin folder in PATH (docs/gpu.md; without root: test/bench/cuda-toolchain.sh FOLDER)",
  tar: "install it with your package manager",
};

/** Path of a program; throws with the way to get it when there is none. */
export function requireTool(name: string, searchPath: string = process.env.PATH ?? ""): string {
  const path = Bun.which(name, { PATH: searchPath });
  if (path === null) {
    throw new SetupError(`${name} is needed and was not found: ${INSTALL_HINTS[name] ?? "install it"}.`);
  }
  return path;
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string | undefined>;
  /** Show the program's output as it comes, instead of keeping it for the error. */
  show?: boolean;
  /** What failed, in the words of the user. */
  what: string;
  hint?: string;
}

/** Runs a program to its end and returns its standard output (empty when shown). */
export async function run(command: string[], options: RunOptions): Promise<string> {
  const stdio = options.show === true ? "inherit" : "pipe";
  const child = Bun.spawn(command, {
    cwd: options.cwd ?? process.cwd(),
    env: { ...process.env, ...options.env },
    stdin: "ignore",
    stdout: stdio,
    stderr: stdio,
  });
  const [out, err] = await Promise.all([readAll(child.stdout), readAll(child.stderr)]);
  const code = await child.exited;
  if (code === 0) return out;
  const detail = lastLines(err === "" ? out : err, 12);
  const hint = options.hint === undefined ? "" : ` ${options.hint}`;
  throw new SetupError(`${options.what} failed (exit ${code}).${hint}${detail === "" ? "" : `\n${detail}`}`);
}

async function readAll(stream: ReadableStream<Uint8Array> | undefined): Promise<string> {
  return stream === undefined ? "" : await new Response(stream).text();
}

function lastLines(text: string, count: number): string {
  return text.trimEnd().split("\n").slice(-count).join("\n");
}

/** One line of progress on standard error. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
