// Where CUDA's libraries are on this host. The loader looks into few of these folders by itself: NixOS keeps the driver in
// one of its own, a toolkit is wherever it was unpacked, and Python's packages have a layout of theirs. Only finds.

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

export type Environment = Readonly<Record<string, string | undefined>>;

const DRIVER = "libcuda.so.1";

/** In the order in which they need each other: a library's needs are open before it. */
const NAMES = [
  /^libcuda\.so\.1$/,
  /^libcudart\.so\.\d+$/,
  /^libnvJitLink\.so\.\d+$/,
  /^libcublasLt\.so\.\d+$/,
  /^libcublas\.so\.\d+$/,
];

/** Where a driver is when the loader does not know it: NixOS, containers, Windows' subsystem for Linux. */
const DRIVER_FOLDERS = ["/run/opengl-driver/lib", "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib"];

/** Of the loader's own: what `ldconfig` does not list, such as on musl and in images without a cache. */
const SYSTEM_FOLDERS = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/lib64",
  "/lib",
];

/** Most folders that one pattern of Python's layout may stand for: more are no Python installation. */
const EXPANDED_MAX = 32;

/** Folders in the order in which they are searched. */
export function listCudaFolders(env: Environment): string[] {
  const given = splitPaths(env.ML_OFFLOAD_CUDA_LIBS).flatMap((folder) => [folder, ...listWheelFolders(folder)]);
  const toolkits = [env.CUDA_PATH ?? env.CUDA_HOME ?? "", "/usr/local/cuda"].filter((folder) => folder !== "");
  const pythons = [env.VIRTUAL_ENV, env.CONDA_PREFIX, join(env.HOME ?? homedir(), ".local"), "/usr/local", "/usr"]
    .filter((folder) => folder !== undefined && folder !== "")
    .flatMap((folder) => expand(join(folder as string, "lib"), /^python3(\.\d+)?$/))
    .flatMap((folder) => [join(folder, "site-packages"), join(folder, "dist-packages")]);
  return [
    ...given,
    ...DRIVER_FOLDERS,
    ...toolkits.flatMap((folder) => [join(folder, "lib64"), join(folder, "lib")]),
    ...pythons.flatMap(listWheelFolders),
  ];
}

/** `nvidia/cu13/lib` of today's wheels, `nvidia/cublas/lib` of older ones. */
function listWheelFolders(sitePackages: string): string[] {
  return expand(join(sitePackages, "nvidia"), /^(cu\d+|cublas|cuda_runtime|nvjitlink)$/).map((folder) =>
    join(folder, "lib"),
  );
}

function expand(folder: string, name: RegExp): string[] {
  return listNames(folder)
    .filter((found) => name.test(found))
    .slice(0, EXPANDED_MAX)
    .map((found) => join(folder, found));
}

function splitPaths(text: string | undefined): string[] {
  return (text ?? "").split(delimiter).filter((folder) => folder !== "");
}

function listNames(folder: string): string[] {
  try {
    return statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true ? readdirSync(folder).sort() : [];
  } catch {
    // A folder that may not be read is as good as none.
    return [];
  }
}

/**
 * Absolute paths, each library once, from the first folder that has it. Of `needed` (SONAMEs; null: not known) those alone
 * and what they need in turn: a host may have several versions. Empty where there is nothing: the loader's own search
 * then decides.
 */
export function findCudaLibraries(
  env: Environment,
  needed: readonly string[] | null = null,
  folders: readonly string[] = listCudaFolders(env),
): string[] {
  const files = folders.flatMap((folder) => listNames(folder).map((name) => ({ name, path: join(folder, name) })));
  const major = needed?.map((name) => /^libcublas\.so\.(\d+)$/.exec(name)?.[1]).find((found) => found !== undefined);
  const fits = (name: string): boolean => {
    if (needed === null || needed.includes(name)) return true;
    // cuBLAS's own needs have its version.
    return major !== undefined && /^lib(cublasLt|nvJitLink)\.so\./.test(name) && name.endsWith(`.${major}`);
  };
  return NAMES.flatMap((pattern) => {
    const found = files.find(({ name }) => pattern.test(name) && fits(name));
    return found === undefined ? [] : [found.path];
  });
}

/** Whether the driver's library can be had here: without it the plug-in can't be loaded, whatever hardware there is. */
export function hasCudaDriver(
  env: Environment,
  folders: readonly string[] = listCudaFolders(env),
  loaderCache = "/etc/ld.so.cache",
  systemFolders: readonly string[] = SYSTEM_FOLDERS,
): boolean {
  const all = [...folders, ...splitPaths(env.LD_LIBRARY_PATH), ...systemFolders];
  if (all.some((folder) => existsSync(join(folder, DRIVER)))) return true;
  try {
    return readFileSync(loaderCache).includes(DRIVER);
  } catch {
    // Not every system has one; the folders were all there is.
    return false;
  }
}

/** Changes when a driver is installed or updated, or a device is added, and with what is found for it. */
export function describeCudaHost(env: Environment, kernel = "/proc/driver/nvidia"): string {
  const gpus = listNames(join(kernel, "gpus"));
  let driver = "";
  try {
    driver = readFileSync(join(kernel, "version"), "utf8").split("\n")[0] ?? "";
  } catch {
    // No driver in this kernel, or one that shows nothing: the libraries tell the rest.
    driver = "none";
  }
  return [driver, ...gpus, ...findCudaLibraries(env)].join(" ");
}
