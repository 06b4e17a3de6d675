// Where CUDA's libraries are on this host. The loader looks into none of these folders by itself: NixOS keeps the
// driver in one of its own, and a toolkit is wherever it was unpacked. Only finds; opening is the caller's.

import { existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";

/** In the order in which they need each other: a library's needs are open before it. */
const NAMES = [
  /^libcuda\.so\.1$/,
  /^libcudart\.so\.\d+$/,
  /^libnvJitLink\.so\.\d+$/,
  /^libcublasLt\.so\.\d+$/,
  /^libcublas\.so\.\d+$/,
];

/** Folders in the order in which they are searched. */
function searchFolders(env: Readonly<Record<string, string | undefined>>): string[] {
  const given = (env.ML_OFFLOAD_CUDA_LIBS ?? "").split(delimiter).filter((folder) => folder !== "");
  const toolkit = env.CUDA_PATH ?? env.CUDA_HOME;
  const toolkits = [...(toolkit === undefined ? [] : [toolkit]), "/usr/local/cuda"];
  return [
    ...given,
    "/run/opengl-driver/lib",
    ...toolkits.flatMap((folder) => [join(folder, "lib64"), join(folder, "lib")]),
  ];
}

/** Absolute paths, each library once, from the first folder that has it. Empty where there is nothing: the loader's
 *  own search then decides. */
export function findCudaLibraries(
  env: Readonly<Record<string, string | undefined>>,
  folders: readonly string[] = searchFolders(env),
): string[] {
  const files = folders.flatMap((folder) =>
    existsSync(folder) ? readdirSync(folder).map((name) => ({ name, path: join(folder, name) })) : [],
  );
  return NAMES.flatMap((pattern) => {
    const found = files.find(({ name }) => pattern.test(name));
    return found === undefined ? [] : [found.path];
  });
}
