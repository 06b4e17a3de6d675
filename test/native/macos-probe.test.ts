// The Mac's part of the probe, compiled for both kinds of Macs: with Apple's own headers on a Mac, elsewhere by zig's clang
// against stand-ins of Apple's frameworks (test/native/macos) and the real headers of the system library.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
const isMac = process.platform === "darwin";

/** `ZIG` may be several words: `python -m ziglang` of the package of that name. */
function findCompiler(): string[] | null {
  if (isMac) return Bun.which("clang++") === null ? null : ["clang++"];
  const zig = process.env.ZIG?.split(" ") ?? (Bun.which("zig") === null ? null : ["zig"]);
  return zig === null ? null : [...zig, "c++"];
}

const compiler = findCompiler();
if (compiler === null) console.log("skipped: there is no zig (ZIG='python -m ziglang' of PyPI's ziglang is one)");

test.skipIf(compiler === null).each(["aarch64", "x86_64"])("compiles for %s", async (arch) => {
  const folder = mkdtempSync(join(tmpdir(), "mlo-macos-"));
  try {
    const target = isMac ? `${arch === "aarch64" ? "arm64" : arch}-apple-macos13` : `${arch}-macos`;
    const headers = isMac ? [] : ["-I", join(ROOT, "test/native/macos")];
    const flags = ["-target", target, "-std=c++17", "-x", "objective-c++", "-fobjc-arc", "-Wall", "-Wextra", "-Werror"];
    const source = join(ROOT, "native/probe/probe-macos.mm");
    const out = ["-c", source, "-o", join(folder, "probe.o")];
    const run = Bun.spawn([...(compiler ?? []), ...flags, ...headers, ...out], { stderr: "pipe" });
    expect(await new Response(run.stderr).text()).toBe("");
    expect(await run.exited).toBe(0);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
