// Where the native libraries and other files that belong to us are: beside the source, or inside the binary, from
// which they are extracted once into a versioned cache folder. Knows nothing of what is in them.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "../../protocol/errors.ts";
import { findPacked, PACKED_ENDING, type PackedEntry, type PackedFile } from "./packed-files.ts";
import type { SkippedPlugin } from "./plugins.ts";

export interface NativeFiles {
  library: string;
  /** CPU variants, in no order. */
  cpuPlugins: string[];
  /** GPU back ends. */
  gpuPlugins: string[];
  /** GPU back ends that the binary carries compressed; absent: none. */
  packed?: PackedFile[];
  /** Those of them that are not unpacked, with the reason; absent: none. */
  held?: SkippedPlugin[];
  /** The addon that asks drivers what the machine has; null: this folder has none. */
  probe: string | null;
  demoModel: string;
  /** Changes with the content: what was found out about these files is remembered under it. */
  key: string;
  /** Names this build wherever it lies, where that is known: what it wrote to disk is valid under it. */
  buildId: string;
}

/** Files are embedded under their name and this ending, so that one loader rule fits all of them. */
const EMBEDDED = ".embedded";
const MANIFEST = "native-manifest.json";
const DEMO = "demo.gguf";
const PROBE = "probe.node";
const LIBRARY = /^libmlo\.(so|dylib)$/;
const PLUGIN = /^libggml-(?!base)(.+)\.(so|dylib)$/;

/** `override` is ML_OFFLOAD_NATIVE_DIR: a folder with the libraries, for packagers and for hosts without a cache. */
export async function locateNativeFiles(cacheFolder: string, override: string | undefined): Promise<NativeFiles> {
  const embedded = listEmbedded();
  if (override !== undefined && override !== "") {
    // A demo model beside the libraries spares hosts without a cache the extraction.
    const beside = join(override, DEMO);
    if (embedded.size === 0 || existsSync(beside)) {
      return describeFolder(override, existsSync(beside) ? beside : sourceDemo());
    }
    return describeFolder(override, join(await extract(embedded, cacheFolder), DEMO));
  }
  if (embedded.size > 0) {
    const folder = await extract(embedded, cacheFolder);
    const { hash, packed: entries } = await readManifest(embedded);
    const packed = findPacked(entries, embedded, folder);
    // One that an earlier start has unpacked counts when this one wants it.
    return { ...describeFolder(folder, join(folder, DEMO), packed), packed, buildId: hash };
  }
  return describeFolder(join(import.meta.dir, "../../../build/native"), sourceDemo());
}

/** Text of an embedded file; null when this runs from source. */
export async function readEmbeddedText(name: string): Promise<string | null> {
  return (await listEmbedded().get(name)?.text()) ?? null;
}

function sourceDemo(): string {
  return join(import.meta.dir, "../../demo", DEMO);
}

function listEmbedded(): Map<string, Blob> {
  const files = new Map<string, Blob>();
  for (const blob of Bun.embeddedFiles) {
    const name = (blob as Blob & { name: string }).name.split("/").at(-1) ?? "";
    if (name.endsWith(EMBEDDED)) files.set(name.slice(0, -EMBEDDED.length), blob);
  }
  return files;
}

function describeFolder(folder: string, demoModel: string, packed: readonly PackedEntry[] = []): NativeFiles {
  const found = existsSync(folder) ? readdirSync(folder) : [];
  const names = found.filter((name) => !packed.some((file) => file.name === name));
  const library = names.find((name) => LIBRARY.test(name));
  if (library === undefined) {
    throw new AppError({
      code: "internal",
      message: `There is no libmlo in ${folder}.`,
      hint: "From source: `npm run setup` builds it. ML_OFFLOAD_NATIVE_DIR names another folder.",
    });
  }
  const plugins = names.filter((name) => PLUGIN.test(name)).sort();
  const key = contentKey(folder, [library, ...plugins]);
  const isCpu = (name: string): boolean => name.startsWith("libggml-cpu");
  return {
    library: join(folder, library),
    cpuPlugins: plugins.filter(isCpu).map((name) => join(folder, name)),
    gpuPlugins: plugins.filter((name) => !isCpu(name)).map((name) => join(folder, name)),
    probe: names.includes(PROBE) ? join(folder, PROBE) : null,
    demoModel,
    key,
    buildId: key,
  };
}

interface Manifest {
  /** Of all that is embedded: a folder's own key would change when the cache was emptied and is extracted again. */
  hash: string;
  packed: PackedEntry[];
}

async function readManifest(files: ReadonlyMap<string, Blob>): Promise<Manifest> {
  const manifest = (await files.get(MANIFEST)?.json()) as Partial<Manifest> | undefined;
  return { hash: manifest?.hash ?? "unversioned", packed: manifest?.packed ?? [] };
}

/** The folder alone would not do: a build links another one to the same place, and a packager may overwrite files. */
function contentKey(folder: string, names: readonly string[]): string {
  const files = names.map((name) => {
    const { size, mtimeMs } = statSync(join(folder, name));
    return [name, size, mtimeMs];
  });
  return new Bun.CryptoHasher("sha256")
    .update(JSON.stringify([realpathSync(folder), files]))
    .digest("hex")
    .slice(0, 16);
}

/** The folder that holds the embedded files; written aside and renamed, so that it is whole or not there. */
async function extract(embedded: ReadonlyMap<string, Blob>, cacheFolder: string): Promise<string> {
  const { hash } = await readManifest(embedded);
  const files = new Map([...embedded].filter(([name]) => !name.endsWith(PACKED_ENDING)));
  const parent = join(cacheFolder, "native");
  const folder = join(parent, hash);
  if (isComplete(folder, files)) return folder;
  let part: string | null = null;
  try {
    mkdirSync(parent, { recursive: true, mode: 0o700 });
    part = mkdtempSync(join(parent, `${hash}.part-`));
    for (const [name, blob] of files) await Bun.write(join(part, name), blob);
    // A copy that lost files makes way; one that another process has just made is left alone.
    if (!isComplete(folder, files)) rmSync(folder, { recursive: true, force: true });
    renameSync(part, folder);
  } catch (thrown) {
    if (part !== null) rmSync(part, { recursive: true, force: true });
    // Another process of ours may have been faster: then its copy is as good.
    if (isComplete(folder, files)) return folder;
    throw new AppError(
      {
        code: "internal",
        message: `Can't extract the native libraries to ${folder}: ${(thrown as Error).message}`,
        hint: "Set XDG_CACHE_HOME to a writable folder on a file system that allows execution, or ML_OFFLOAD_NATIVE_DIR to a folder with the libraries and demo.gguf.",
      },
      { cause: thrown },
    );
  }
  return folder;
}

/** A cache may be tidied by others at any time: a file that is missing or cut short must not stop us for ever. */
function isComplete(folder: string, files: ReadonlyMap<string, Blob>): boolean {
  return [...files].every(([name, blob]) => {
    const path = join(folder, name);
    return existsSync(path) && statSync(path).size === blob.size;
  });
}
