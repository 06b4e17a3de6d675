#!/usr/bin/env bash
# gpu.sh [--gpu cuda|none] [--arch 90-real] [STEP…]: on a bare machine with an NVIDIA GPU and no network, from what gpu-prepare.sh
# packed: builds (or unpacks finished libraries), runs the model tests, compares planned with used GPU memory and checks that
# an unload gives it back, and runs the benchmark beside llama-server. Steps: unpack build tests memory bench; all by default.
# Logs and figures go to $OUT (build/gpu/out). A check that fails does not stop the next; the end says which held.
# NEVER RUN ON A GPU SO FAR: `--gpu none` was, which is the same without one.
set -uo pipefail
cd "$(dirname "$0")/../.."

gpu=cuda arch=90-real steps=()
while [ $# -gt 0 ]; do
  case $1 in
    --gpu) gpu=${2:?}; shift 2 ;;
    --arch) arch=${2:?}; shift 2 ;;
    unpack | build | tests | memory | bench) steps+=("$1"); shift ;;
    *) echo "use: gpu.sh [--gpu cuda|none] [--arch 90-real] [unpack|build|tests|memory|bench…]" >&2; exit 2 ;;
  esac
done
[ ${#steps[@]} -gt 0 ] || steps=(unpack build tests memory bench)

root=$PWD packed=$PWD/build/gpu
work=$packed/work out=${OUT:-$packed/out}
bun=$work/bun
mkdir -p "$work" "$out"
export ML_OFFLOAD_BINARY=$root/dist/ml-offload-linux-x64

# Whoever is not root, or has no HOME, still gets a cache.
export XDG_CACHE_HOME=${XDG_CACHE_HOME:-$work/cache}

# cuBLAS is in the toolkit, or where Python's packages are; llama-server finds it by the loader alone.
use_cuda_libraries() {
  [ "$gpu" = cuda ] || return 0
  command -v nvcc >/dev/null || export PATH=/usr/local/cuda/bin:$PATH
  local found
  found=$(find /usr/local/cuda*/ /usr/lib /opt "${VIRTUAL_ENV:-/nonexistent}" -name 'libcublas.so.*' 2>/dev/null | head -1)
  [ -n "$found" ] || { echo "no libcublas.so was found" >&2; return 0; }
  export LD_LIBRARY_PATH=$(dirname "$found")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  echo "CUDA's libraries: $(dirname "$found")"
}

# Not every bare machine has xz; Python has it built in.
unsqueeze() { if command -v xz >/dev/null; then xz -dc "$1"; else python3 -c 'import lzma, shutil, sys
with lzma.open(sys.argv[1]) as packed: shutil.copyfileobj(packed, sys.stdout.buffer)' "$1"; fi; }

step_unpack() {
  unsqueeze "$packed/bun.xz" >"$bun.part" && chmod +x "$bun.part" && mv "$bun.part" "$bun" || return 1
  unsqueeze "$packed/packages.tar.xz" | tar -x || return 1
  if [ -e "$packed/llama.tar.xz" ]; then unsqueeze "$packed/llama.tar.xz" | tar -x || return 1; fi
  if [ -e "$packed/native.tar.xz" ]; then
    mkdir -p "$work/native" && unsqueeze "$packed/native.tar.xz" | tar -x -C "$work/native" || return 1
  fi
  "$bun" --version
}

step_build() {
  if [ -d "$work/native" ]; then
    ln -sfn "$work/native" build/native
  else
    nproc
    MLO_GPU=$gpu MLO_ARCH=$arch "$bun" -e '
      import { buildNative } from "./native/build.ts";
      const { MLO_GPU: gpu, MLO_ARCH: arch } = process.env;
      await buildNative({ gpu, cpu: "host", cudaArchs: [arch], cudaLibs: "shared", peer: true });' || return 1
  fi
  ls -lL build/native
  "$bun" build.ts compile build/native
}

# The servers that these start take the GPU by themselves when the plug-in works.
step_tests() { "$bun" test --timeout 300000 ./test/model/ ./test/contract/ ./test/ffi/needed.test.ts; }

step_memory() { "$bun" test/bench/gpu-memory.ts --gpu "$gpu" --json "$out/memory.json"; }

step_bench() {
  [ -x build/native/llama-server ] || { echo "llama-server is not among the libraries"; return 1; }
  "$bun" test/bench/compare.ts --quick --threads "$(nproc)" --json "$out/compare.json"
}

use_cuda_libraries
[ "$gpu" = none ] || nvidia-smi
failed=0
: >"$out/summary.txt"
for step in "${steps[@]}"; do
  echo "== $step"
  SECONDS=0
  if "step_$step" >"$out/$step.log" 2>&1; then result=held; else result=FAILED failed=1; fi
  tail -n 25 "$out/$step.log"
  echo "$step: $result after $SECONDS s" | tee -a "$out/summary.txt"
  # Nothing can be checked without what these make.
  case $step-$result in unpack-FAILED | build-FAILED) break ;; esac
done
echo "== summary"
cat "$out/summary.txt"
exit $failed
