// Third-party notices. `build.ts` collects them into one text that is embedded in the binary;
// `ml-offload licenses` prints that text. Dependencies are found by walking package.json files.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { assert } from "../lib/assert.ts";
import { readEmbeddedText } from "../router/backends/native-files.ts";

/** Where notices are kept in packages: LICENSE, LICENSE.txt, bundle.js.LICENSE.txt, COPYING, NOTICE. */
const NOTICE_FILE = /(^|\.)(licen[cs]e|copying|notice)([.-]|$)/i;
const RULE = "=".repeat(78);

/** What the compiled file holds besides packages, and where no license file lies beside us. */
const RUNTIME_NOTICE = [
  "This program contains the Bun runtime (MIT License, Copyright (c) Oven). Bun statically links",
  "JavaScriptCore and WebKit's WTF (LGPL-2.0-or-later, with parts under BSD licenses) and further",
  "libraries; its license page at bun.com/docs/project/licensing lists them and tells how to relink.",
  "",
  "The native library contains GCC's runtime (libstdc++, libgcc), which is covered by the GCC Runtime",
  "Library Exception, version 3.1.",
].join("\n");

/** Packages whose headers are compiled into a native file of ours; nothing else of them is shipped. */
const HEADER_PACKAGES = ["node-addon-api"];

interface PackageFile {
  name?: string;
  version?: string;
  license?: string;
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, { optional?: boolean }>;
  optionalDependencies?: Record<string, string>;
}

/** One text: our license, the runtime's, llama.cpp's and its parts', then every package that we ship. */
export function collectNotices(root: string): string {
  const sections = [section("ml-offload", readNotices(root)), section("Bun and GCC runtime", [RUNTIME_NOTICE])];
  const llama = join(root, "vendor", "llama.cpp");
  assert(existsSync(join(llama, "LICENSE")), "vendor/llama.cpp is there when notices are collected");
  sections.push(section("llama.cpp and ggml", readNotices(llama)));
  const parts = join(llama, "licenses");
  if (existsSync(parts)) {
    for (const file of readdirSync(parts).sort()) {
      sections.push(section(`llama.cpp: ${file}`, [readFileSync(join(parts, file), "utf8")]));
    }
  }
  const headers = HEADER_PACKAGES.map((name) => join(root, "node_modules", name)).filter((folder) =>
    existsSync(folder),
  );
  for (const folder of [...findRuntimePackages(root), ...headers]) {
    const manifest = readPackage(folder);
    const texts = readNotices(folder);
    const named = `${manifest.name} ${manifest.version} (${manifest.license ?? "license not stated"})`;
    sections.push(section(named, texts.length > 0 ? texts : [`The package names its license: ${manifest.license}.`]));
  }
  return `${sections.join("\n")}`;
}

/** Folders of all packages that `dependencies` reaches, by path. Absent ones and optional peers (compilers, types) are left out. */
export function findRuntimePackages(root: string): string[] {
  const found = new Set<string>();
  const visit = (from: string): void => {
    const manifest = readPackage(from);
    const wanted = { ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.peerDependencies };
    for (const name of Object.keys(wanted)) {
      const optionalPeer = manifest.peerDependenciesMeta?.[name]?.optional === true;
      if (optionalPeer && manifest.dependencies?.[name] === undefined) continue;
      const folder = findPackage(name, from, root);
      if (folder === null || found.has(folder)) continue;
      found.add(folder);
      visit(folder);
    }
  };
  visit(root);
  return [...found].sort();
}

/** Node's resolution: the nearest node_modules on the way up to the root. */
function findPackage(name: string, from: string, root: string): string | null {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    if (existsSync(join(candidate, "package.json"))) return candidate;
    if (folder === root || folder === dirname(folder)) return null;
  }
}

function readPackage(folder: string): PackageFile {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as PackageFile;
}

function readNotices(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && NOTICE_FILE.test(entry.name))
    .map((entry) => entry.name)
    .sort()
    .map((name) => readFileSync(join(folder, name), "utf8").trim());
}

function section(title: string, texts: readonly string[]): string {
  return [RULE, title, RULE, "", texts.map((text) => text.trim()).join("\n\n"), ""].join("\n");
}

/** The embedded text, or from source one that is collected now. */
export async function loadNotices(): Promise<string> {
  return (await readEmbeddedText("third-party-notices.txt")) ?? collectNotices(join(import.meta.dir, "../.."));
}

export function printLicenses(notices: string, stdout: { write(text: string): unknown } = process.stdout): void {
  stdout.write(notices.endsWith("\n") ? notices : `${notices}\n`);
}
