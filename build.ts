// The project's own commands: set-up, start, checks, and the one binary. Needs nothing installed but Bun: what it
// imports at the top uses Bun and Node built-ins alone. `npm run <script>` calls it with the pinned Bun.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { buildNative, type Gpu, NATIVE_LINK, type NativeOptions, nativeFiles } from "./native/build.ts";
import { DEFAULT_CUDA_ARCHS, parseCudaArchs } from "./native/cuda.ts";
import { packLibrary, travelsPacked } from "./native/pack.ts";
import { generateSymbols, SYMBOLS_FILE } from "./native/symbols.ts";
import { checkLibraries, checkProgram, HOST_TARGET, parseTarget, type Target } from "./native/targets.ts";
import type { PackedEntry } from "./src/router/backends/packed-files.ts";
import { fetchLlama } from "./vendor/fetch.ts";
import { run, SetupError, say } from "./vendor/tools.ts";

const ROOT = import.meta.dir;
const DIST = join(ROOT, "dist");

export const BINARY = join(DIST, `ml-offload-${HOST_TARGET}`);

interface Options extends NativeOptions {
  /** For which system the binary is; undefined: this one. */
  target?: Target;
  /** Libraries that were built elsewhere. */
  native?: string;
  /** Where the binary goes; undefined: dist/. */
  out?: string;
  rest: string[];
}

const GPUS: readonly string[] = ["none", "cuda", "metal"];

/** Each takes a value; false: it is none of theirs. */
const FLAGS: Readonly<Record<string, (options: Options, value: string) => boolean>> = {
  "--gpu": (options, value) => {
    options.gpu = value as Gpu;
    return GPUS.includes(value);
  },
  "--cpu": (options, value) => {
    options.cpu = value as Options["cpu"];
    return value === "host" || value === "all";
  },
  "--cuda-arch": (options, value) => {
    options.cudaArchs = parseCudaArchs(value);
    return true;
  },
  "--cuda-libs": (options, value) => {
    options.cudaLibs = value as Options["cudaLibs"];
    return value === "static" || value === "shared";
  },
  "--target": (options, value) => {
    options.target = parseTarget(value);
    return true;
  },
  "--native": (options, value) => {
    options.native = resolve(value);
    return value !== "";
  },
  "--out": (options, value) => {
    options.out = resolve(value);
    return value !== "";
  },
};

function parseOptions(argv: string[]): Options {
  const cuda = { cudaArchs: DEFAULT_CUDA_ARCHS, cudaLibs: "static" } as const;
  const options: Options = { gpu: "none", cpu: "host", ...cuda, peer: false, rest: [] };
  for (let i = 0; i < argv.length; i++) {
    const [flag = "", inline] = (argv[i] ?? "").split("=", 2);
    const apply = Object.hasOwn(FLAGS, flag) ? FLAGS[flag] : undefined;
    if (apply === undefined) {
      options.rest.push(argv[i] ?? "");
      continue;
    }
    const value = inline ?? argv[++i] ?? "";
    if (!apply(options, value)) {
      throw new SetupError(
        `${flag} ${value}: use --gpu none|cuda|metal, --cpu host|all, --cuda-libs static|shared, --native DIR and --out FILE.`,
      );
    }
  }
  return options;
}

/** Installs the packages of the lockfile when it changed since the last time. */
async function installPackages(): Promise<void> {
  const stamp = join(ROOT, "node_modules", ".ml-offload-lock");
  const lock = readFileSync(join(ROOT, "bun.lock"), "utf8");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  say("installing packages");
  await run([process.execPath, "install", "--frozen-lockfile"], {
    cwd: ROOT,
    what: "installing packages",
    hint: "Is there a network?",
  });
  await Bun.write(stamp, lock);
}

/** Packages, source and libraries: whatever is missing. */
async function setUp(options: NativeOptions): Promise<string> {
  await installPackages();
  await fetchLlama();
  return await buildNative(options);
}

/** Runs the project with the Bun that runs this; returns its exit code. */
async function child(args: string[], env: Record<string, string> = {}): Promise<number> {
  const started = Bun.spawn([process.execPath, ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ["inherit", "inherit", "inherit"],
  });
  // A terminal sends Ctrl-C to the whole group: the child decides when to end, and we wait for it.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => started.kill(signal));
  return await started.exited;
}

/** Copies of all files that the binary carries, under names that one loader rule fits. */
async function stageEmbedded(native: string): Promise<string[]> {
  const { collectNotices } = await import("./src/commands/licenses.ts");
  const staging = join(ROOT, "build", "embed");
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  const hash = new Bun.CryptoHasher("sha256");
  const stage = (name: string, bytes: Uint8Array): string => {
    const path = join(staging, `${name}.embedded`);
    writeFileSync(path, bytes);
    hash.update(name).update(bytes);
    return path;
  };
  const paths: string[] = [];
  const entries: PackedEntry[] = [];
  for (const name of nativeFiles(native)) {
    const content = readFileSync(join(native, name));
    if (!travelsPacked(name)) {
      paths.push(stage(name, content));
      continue;
    }
    const { entry, packed } = await packLibrary(name, content);
    say(`${name}: ${toMegabytes(entry.bytes)} MB, ${toMegabytes(packed.byteLength)} MB in the binary`);
    entries.push(entry);
    paths.push(stage(`${name}.zst`, packed));
  }
  paths.push(stage("demo.gguf", readFileSync(join(ROOT, "src", "demo", "demo.gguf"))));
  paths.push(stage("third-party-notices.txt", new TextEncoder().encode(collectNotices(ROOT))));
  const manifest = JSON.stringify({ hash: hash.digest("hex").slice(0, 16), packed: entries });
  return [...paths, stage("native-manifest.json", new TextEncoder().encode(manifest))];
}

function toMegabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

/** Set-up, then the binary, in a process of its own: Bun remembers which packages were there when it started. */
async function makeBinary(options: Options): Promise<number> {
  const target = options.target ?? HOST_TARGET;
  // Compilers here make libraries for here: those of another system, or of another build, are given.
  const given = options.native ?? (target === HOST_TARGET ? undefined : "");
  if (given !== undefined) await installPackages();
  const native = given ?? (await setUp(options));
  const more = [
    ...(options.target === undefined ? [] : ["--target", target]),
    ...(options.out === undefined ? [] : ["--out", options.out]),
  ];
  return await child([join(ROOT, "build.ts"), "compile", native, ...more]);
}

/** The compiled binary, with the libraries, the demo model, Swagger's assets and the notices inside. */
async function compileBinary({ rest, target = parseTarget(HOST_TARGET), out }: Options): Promise<void> {
  const native = rest[0] ?? NATIVE_LINK;
  checkLibraries(native === "" ? undefined : native, existsSync(native) ? nativeFiles(native) : [], target);
  const embedded = await stageEmbedded(native);
  const outfile = out ?? join(DIST, `ml-offload-${target}`);
  mkdirSync(dirname(outfile), { recursive: true });
  const isHost = target === HOST_TARGET;
  const result = await Bun.build({
    entrypoints: [join(ROOT, "src", "main.ts"), ...embedded],
    compile: { outfile, ...(isHost ? {} : { target: `bun-${target}` as const }) },
    loader: { ".embedded": "file" },
    naming: { asset: "[name].[ext]" },
    minify: { whitespace: true, syntax: true },
    // Halves the start: what is parsed at every start of the server and of each engine is parsed here instead.
    bytecode: true,
    // An engine loads no more of it than engines need: 5 ms and 8 MB of each process.
    splitting: true,
    format: "esm",
  });
  if (!result.success) throw new SetupError(`bun build failed.\n${result.logs.join("\n")}`);
  checkProgram(outfile, target);
  if (!isHost) {
    say(`${outfile}: made for ${target}, and not run here`);
    return;
  }
  const version = await run([outfile, "--version"], { what: "the smoke run of the binary" });
  say(`${outfile}: ${version.trim()}`);
}

async function runChecks(options: Options): Promise<number> {
  const made = await makeBinary({ ...options, peer: true });
  if (made !== 0) return made;
  const checks: [string, string[]][] = [
    ["types", ["x", "tsc", "--noEmit"]],
    ["lint", ["x", "biome", "check", "--error-on-warnings"]],
  ];
  for (const [name, args] of checks) {
    say(`check: ${name}`);
    const code = await child(args);
    if (code !== 0) return code;
  }
  return await child(["test", "--timeout", "120000", ...options.rest], { ML_OFFLOAD_BINARY: BINARY });
}

async function main(): Promise<number> {
  const [command = "", ...argv] = process.argv.slice(2);
  const options = parseOptions(argv);
  switch (command) {
    case "setup":
      await setUp(options);
      return 0;
    case "start":
      await setUp(options);
      return await child([join(ROOT, "src", "main.ts"), "serve", ...options.rest], {
        ML_OFFLOAD_NATIVE_DIR: NATIVE_LINK,
      });
    case "binary":
      return await makeBinary(options);
    case "compile":
      await compileBinary(options);
      return 0;
    case "test":
      return await runChecks(options);
    case "lint":
      await installPackages();
      return await child(["x", "biome", "check", "--error-on-warnings", ...options.rest]);
    case "typecheck":
      await installPackages();
      return await child(["x", "tsc", "--noEmit"]);
    case "symbols":
      await Bun.write(SYMBOLS_FILE, generateSymbols());
      return 0;
    default:
      throw new SetupError(`'${command}' is no command: use setup, start, binary, test, lint, typecheck or symbols.`);
  }
}

if (import.meta.main) {
  try {
    process.exitCode = await main();
  } catch (thrown) {
    if (!(thrown instanceof SetupError)) throw thrown;
    say(`error: ${thrown.message}`);
    process.exitCode = 1;
  }
}
