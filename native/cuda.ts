// Which architectures the CUDA plug-in is compiled for, and whether there is a toolkit to compile it with. Finds and
// checks; compiling is CMake's.

import { requireTool, run, SetupError } from "../vendor/tools.ts";

/**
 * Few, since each takes half an hour of one core and some fifty megabytes: ggml's kernels differ between these generations and not
 * within them, so 8.0 serves the A100 as well as RTX 30 and 40. The last word of 9.0 is PTX too, which a driver turns
 * into code for what is newer. 12.0 needs the `a`: its FP4 instructions are in no other form.
 */
export const DEFAULT_CUDA_ARCHS: readonly string[] = ["75-real", "80-real", "90", "120a-real"];

/** `90`, `90-real`, `120a-real`, `75-virtual`: a compute capability without its dot, as CMake spells it. */
const ARCH = /^(?:[5-9]\d|1[0-9]\d)[af]?(?:-real|-virtual)?$/;

/** From `90;120a-real` or with commas. Throws SetupError. */
export function parseCudaArchs(text: string): string[] {
  const archs = [...new Set(text.split(/[;,]/).map((word) => word.trim()))].filter((word) => word !== "");
  const wrong = archs.find((arch) => !ARCH.test(arch));
  if (archs.length === 0 || wrong !== undefined) {
    throw new SetupError(
      `--cuda-arch ${text}: name compute capabilities without their dot, such as 90 or "80-real;90" ` +
        "(H100 and H200: 90, RTX 40: 89, RTX 30: 86, A100: 80, RTX 20: 75, RTX 50: 120).",
    );
  }
  return archs;
}

/** The toolkit's version in nvcc's words, which belongs to a build's key. Throws SetupError when there is none. */
export async function checkToolkit(searchPath?: string): Promise<string> {
  const nvcc = requireTool("nvcc", searchPath);
  return await run([nvcc, "--version"], { what: "asking nvcc for its version" });
}
