#!/usr/bin/env bash
# cuda-toolchain.sh FOLDER: puts what compiles and links the CUDA plug-in into FOLDER, from NVIDIA's Python wheels, for
# machines without a CUDA toolkit (2 GB). Installs nothing, and needs no GPU. Then:
#   PATH="FOLDER/bin:$PATH" npm run build -- --gpu cuda --cuda-arch 90
# CUDA_VERSION (13.0) is the oldest that its libraries run with: an older driver than the toolkit is a reason to refuse.
set -euo pipefail

folder=${1:?use: cuda-toolchain.sh FOLDER}
version=${CUDA_VERSION:-13.0}
# Of glibc's names for wheels, those that NVIDIA uses; the host's own are among them.
packages=(nvidia-cuda-nvcc nvidia-nvvm nvidia-cuda-crt nvidia-cuda-runtime nvidia-cuda-cccl nvidia-cublas)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$folder"
python3 -m pip download --quiet --no-deps --disable-pip-version-check -d "$work" "${packages[@]/%/==$version.*}"
# Unpacked, not installed: pip would refuse to put several packages into the one folder that they share.
for wheel in "$work"/*.whl; do python3 -m zipfile -e "$wheel" "$work/all"; done
cp -R "$work"/all/nvidia/cu*/. "$folder"/
chmod +x "$folder"/bin/* "$folder"/nvvm/bin/*

# CMake and nvcc look for names that wheels leave out: lib64, and libraries without a version.
ln -sfn lib "$folder/lib64"
for library in "$folder"/lib/lib*.so.*; do
  name=$(basename "$library")
  ln -sfn "$name" "$folder/lib/${name%%.so.*}.so"
done

# The driver's library is linked by name, and only a machine with a driver has one: a stub with its functions stands in.
mkdir -p "$folder/lib/stubs"
echo '#include <cuda.h>' | cc -E -I"$folder/include" -x c - |
  grep -oE 'CUresult +cu[A-Za-z0-9_]+\(' | sed -E 's/CUresult +(cu[A-Za-z0-9_]+)\(/int \1(void) { return 999; }/' |
  sort -u >"$work/stub.c"
cc -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$folder/lib/stubs/libcuda.so" "$work/stub.c"

"$folder/bin/nvcc" --version | tail -2
