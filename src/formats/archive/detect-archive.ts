// Archives and compressed files: what to unpack them with. A zip and a tar are looked into, since models come as both.

import { basename } from "node:path";
import { quotePath } from "../../lib/shell-quote.ts";
import type { Finding } from "../detection.ts";
import { detectPacked } from "../executable/detect-executable.ts";
import type { FileSource } from "../file-source.ts";
import { detectNpz } from "../npz/detect-npz.ts";
import { isNpz } from "../npz/read-npz.ts";
import { detectPytorch, detectTorchScript, isPytorchArchive } from "../pytorch/detect-pytorch.ts";
import type { Shards } from "../safetensors/gather-shards.ts";
import type { Sniffed } from "../sniff.ts";
import { detectKerasArchive } from "../tensorflow/detect-tensorflow.ts";
import { readZipDirectory, type ZipEntry, ZipError } from "../zip/read-zip.ts";
import { listTar } from "./read-tar.ts";

/** Format → the command that unpacks it, without the path. */
const COMMANDS: Readonly<Partial<Record<Sniffed, string>>> = {
  zip: "unzip",
  tar: "tar -xf",
  gzip: "gunzip -k",
  zstd: "zstd -d",
  xz: "xz -dk",
  bzip2: "bunzip2 -k",
  "7z": "7z x",
  rar: "unrar x",
  lz4: "lz4 -d",
};

export function detectCompressed(path: string, kind: Sniffed): Finding {
  const tar = /\.(tar\.\w+|tgz|tbz2?|txz|tzst)$/i.test(path) && ["gzip", "xz", "bzip2", "zstd"].includes(kind);
  const command = `${tar ? "tar -xf" : (COMMANDS[kind] ?? "7z x")} ${quotePath(path)}`;
  const reason = "an archive or a compressed file: unpack it, then point at what it held.";
  return { format: "archive", variant: tar ? `tar.${kind}` : kind, verdict: "unsupported", reason, command };
}

export function detectTar(source: FileSource, path: string): Finding {
  const { names, cut } = source.use(path, listTar);
  if (cut) {
    const missing = ["the rest of the archive"];
    return {
      format: "archive",
      variant: "tar",
      verdict: "damaged",
      missing,
      reason: "a tar archive that is cut. Fetch it again.",
    };
  }
  const plain = names.map((name) => name.replace(/^\.\//, ""));
  if (["storages", "tensors", "pickle"].every((name) => plain.includes(name))) {
    const reason = "a PyTorch file of the time before 2017. Load and save it with PyTorch, as SafeTensors.";
    return { format: "pytorch", variant: "legacy-tar", verdict: "unsupported", reason };
  }
  if (plain.includes("model_config.yaml")) {
    const reason = "a NeMo archive. Fetch the SafeTensors of the same model, or a GGUF.";
    return { format: "archive", variant: "nemo", verdict: "unsupported", reason };
  }
  return detectCompressed(path, "tar");
}

export function detectZip(source: FileSource, path: string, thorough: boolean, folder: string): Finding {
  const entries = readEntries(source, path);
  if (entries instanceof ZipError) {
    const missing = entries.reason === "truncated" ? [`the end of ${basename(path)}`] : [];
    // Most checkpoints begin by this entry, so a cut one still shows what it was.
    const reason = `a zip archive (PyTorch's checkpoints are such): ${entries.message}. Fetch the file again.`;
    return { format: "archive", variant: "zip", verdict: "damaged", missing, reason };
  }
  const pytorch = isPytorchArchive(entries);
  if (pytorch === "torchscript") return detectTorchScript(source, path, entries);
  if (pytorch === "checkpoint") return detectPytorch(source, folder, single(path), thorough);
  if (isNpz(entries)) return detectNpz(source, path, entries, thorough);
  const keras = detectKerasArchive(entries);
  if (keras !== null) return keras;
  const gguf = entries.find((entry) => entry.name.toLowerCase().endsWith(".gguf"));
  return gguf === undefined ? detectCompressed(path, "zip") : detectPacked(source, path, gguf, "archive");
}

/** Whether a zip archive is a checkpoint of PyTorch; an unreadable one is not known to be. */
export function isPytorchZip(source: FileSource, path: string): boolean {
  const entries = readEntries(source, path);
  return !(entries instanceof ZipError) && isPytorchArchive(entries) === "checkpoint";
}

function readEntries(source: FileSource, path: string): ZipEntry[] | ZipError {
  try {
    return source.use(path, readZipDirectory);
  } catch (thrown) {
    if (thrown instanceof ZipError) return thrown;
    throw thrown;
  }
}

export function single(path: string): Shards {
  return { files: [path], missing: [], weightMap: null, problem: null, kind: "single" };
}
