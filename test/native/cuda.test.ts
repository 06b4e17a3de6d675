// Which architectures a CUDA build is asked for, and what is said when there is no toolkit.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkToolkit, DEFAULT_CUDA_ARCHS, parseCudaArchs } from "../../native/cuda.ts";

test.each([
  ["90", ["90"]],
  ["90-real", ["90-real"]],
  ["80-real;90,120a-real", ["80-real", "90", "120a-real"]],
  [" 75 ; 75;100f-virtual;", ["75", "100f-virtual"]],
])("--cuda-arch %j", (text, archs) => {
  expect(parseCudaArchs(text)).toEqual(archs);
});

test("what is built without being asked can be asked for", () => {
  expect(parseCudaArchs(DEFAULT_CUDA_ARCHS.join(";"))).toEqual([...DEFAULT_CUDA_ARCHS]);
});

test.each([[""], [";"], ["9.0"], ["sm_90"], ["90;all"], ["native"], ["90-fake"], ["4000"], ["49"]])(
  "--cuda-arch %j is refused, with examples",
  (text) => {
    expect(() => parseCudaArchs(text)).toThrow(/compute capabilities without their dot, such as 90/);
  },
);

test("without a toolkit, the way to one is named", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mlo-nvcc-"));
  try {
    expect(checkToolkit(folder)).rejects.toThrow(/nvcc is needed and was not found: .*docs\/gpu\.md/);
    writeFileSync(join(folder, "nvcc"), '#!/bin/sh\necho "release 99.1, $1"\n', { mode: 0o755 });
    expect(await checkToolkit(folder)).toBe("release 99.1, --version\n");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
