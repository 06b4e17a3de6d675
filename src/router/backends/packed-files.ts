// GPU plug-ins that travel compressed inside the binary: unpacked where a driver could use them, and nowhere else. Each is
// checked by length and SHA-256 before it gets its name; a failure is a reason to do without, never one to stop.

import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream as WebStream } from "node:stream/web";
import { createZstdDecompress } from "node:zlib";
import { type Environment, hasCudaDriver } from "../../lib/cuda-libraries.ts";
import type { NativeFiles } from "./native-files.ts";
import type { SkippedPlugin } from "./plugins.ts";

/** As the build writes it into the manifest. */
export interface PackedEntry {
  name: string;
  /** Unpacked. */
  bytes: number;
  /** Unpacked, in hexadecimal. */
  sha256: string;
}

export interface PackedFile extends PackedEntry {
  blob: Blob;
  /** Where it goes, beside the libraries that it needs. */
  path: string;
}

/** What an embedded file is called that is a packed one of this name. */
export const PACKED_ENDING = ".zst";

export interface UnpackEffects {
  hasDriver(): boolean;
  warn(message: string): void;
}

/** The real ones. */
export function unpackEffects(env: Environment, warn: (message: string) => void): UnpackEffects {
  return { hasDriver: () => hasCudaDriver(env), warn };
}

/** The same files with the GPU plug-ins that could be unpacked, and the reasons why others were not. */
export async function unpackPlugins(files: NativeFiles, effects: UnpackEffects): Promise<NativeFiles> {
  const packed = files.packed ?? [];
  if (packed.length === 0) return files;
  const held: SkippedPlugin[] = [];
  const gpuPlugins = [...files.gpuPlugins];
  const hasDriver = effects.hasDriver();
  for (const file of packed) {
    const reason = hasDriver ? await unpack(file) : "there is no NVIDIA driver here";
    if (reason === null) gpuPlugins.push(file.path);
    else held.push({ file: file.name, reason });
    // Without a driver there is nothing to miss; with one there is.
    if (reason !== null && hasDriver) effects.warn(`${file.name} is not used: ${reason}`);
  }
  return { ...files, gpuPlugins: gpuPlugins.sort(), held };
}

class DamagedError extends Error {}

async function unpack(file: PackedFile): Promise<string | null> {
  // Several processes may do the same at once: each writes a file of its own, and the last name given holds.
  const part = `${file.path}.part-${process.pid}-${crypto.randomUUID().slice(0, 8)}`;
  try {
    if (existsSync(file.path) && statSync(file.path).size === file.bytes) return null;
    mkdirSync(dirname(file.path), { recursive: true, mode: 0o700 });
    removeLeftOver(file);
    await writeUnpacked(file, part);
    renameSync(part, file.path);
    return null;
  } catch (thrown) {
    const { code, message } = thrown as NodeJS.ErrnoException;
    if (thrown instanceof DamagedError || code?.startsWith("ZSTD") === true)
      return "its copy in this program is damaged: fetch the program again";
    const megabytes = Math.ceil(file.bytes / 1e6);
    return `it can't be unpacked to ${dirname(file.path)} (${megabytes} MB): ${message}; XDG_CACHE_HOME names another place`;
  } finally {
    if (existsSync(part)) rmSync(part);
  }
}

/** What a process that was killed meanwhile has left: nobody unpacks for an hour. */
const LEFT_OVER_MS = 3_600_000;

function removeLeftOver({ path, name }: PackedFile): void {
  for (const found of readdirSync(dirname(path))) {
    if (!found.startsWith(`${name}.part-`)) continue;
    const left = join(dirname(path), found);
    const modifiedMs = statSync(left, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - modifiedMs > LEFT_OVER_MS) rmSync(left, { force: true });
  }
}

/** Stops at the length that was promised: what is damaged could else fill the disk. A cut end alone is no error to zstd. */
async function writeUnpacked(file: PackedFile, path: string): Promise<void> {
  const hash = new Bun.CryptoHasher("sha256");
  let bytes = 0;
  const target = openSync(path, "wx", 0o644);
  try {
    const source = Readable.fromWeb(file.blob.stream() as unknown as WebStream);
    await pipeline(source, createZstdDecompress(), async (chunks: AsyncIterable<Uint8Array>) => {
      for await (const chunk of chunks) {
        bytes += chunk.byteLength;
        if (bytes > file.bytes) throw new DamagedError();
        hash.update(chunk);
        for (let done = 0; done < chunk.byteLength; ) done += writeSync(target, chunk, done);
      }
    });
  } finally {
    closeSync(target);
  }
  if (bytes !== file.bytes || hash.digest("hex") !== file.sha256) throw new DamagedError();
}

/** Those that the manifest names, and that are there. */
export function findPacked(
  entries: readonly PackedEntry[],
  embedded: ReadonlyMap<string, Blob>,
  folder: string,
): PackedFile[] {
  return entries.flatMap((entry) => {
    const blob = embedded.get(`${entry.name}${PACKED_ENDING}`);
    return blob === undefined ? [] : [{ ...entry, blob, path: join(folder, entry.name) }];
  });
}
