// NixOS and odd distributions start a foreign binary through the loader by hand: the engine must come up that way too.

import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const LOADER = "/lib64/ld-linux-x86-64.so.2";
const BINARY =
  process.env.ML_OFFLOAD_BINARY ?? join(import.meta.dir, `../../dist/ml-offload-${process.platform}-${process.arch}`);

if (!existsSync(LOADER)) console.error(`skipped: there is no ${LOADER} on this system`);

test.skipIf(!existsSync(LOADER))("`ld.so ./ml-offload run` chats", async () => {
  const home = mkdtempSync(join(tmpdir(), "mlo-loader-"));
  try {
    const child = Bun.spawn([LOADER, BINARY, "run", "demo", "What is 7 + 8?", "--temperature", "0", "--json"], {
      env: { HOME: home, PATH: process.env.PATH ?? "" },
      stdin: "ignore",
      stderr: "inherit",
    });
    const answer = (await new Response(child.stdout).json()) as { content: string };
    expect(answer.content).toBe("15");
    expect(await child.exited).toBe(0);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});
