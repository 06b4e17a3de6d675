#!/usr/bin/env bash
# gpu-prepare.sh [--native DIR]: packs into build/gpu/ all that gpu.sh needs on a machine without a network: Bun, the packages,
# and llama.cpp's patched source; or, instead of the source, finished libraries (DIR, such as build/native: with the CUDA
# plug-in, and llama-server when the benchmark is wanted). Run it after `npm run setup`. Copy the checkout with build/gpu/ there.
# MAX_MIB (64) is what may travel: the checkout's files and build/gpu/ together.
set -euo pipefail
cd "$(dirname "$0")/../.."

native=""
while [ $# -gt 0 ]; do
  case $1 in
    --native) native=${2:?--native wants a folder}; shift 2 ;;
    *) echo "use: gpu-prepare.sh [--native DIR]" >&2; exit 2 ;;
  esac
done
out=build/gpu
mkdir -p "$out"
rm -rf "$out"/{work,out} "$out"/{packages,llama,native}.tar.xz
squeeze() { xz -T1 -6 -c; }

# The Bun that the project pins, as a program of its own: a compiled binary of ours could play it, but its children could not.
bun=${BUN:-$(npx -y bun@1.4.5 -e 'console.log(process.execPath)')}
if [ "$(cat "$out/bun.txt" 2>/dev/null)" != "$("$bun" --revision)" ]; then
  squeeze <"$bun" >"$out/bun.xz"
  "$bun" --revision >"$out/bun.txt"
fi

# Packages that only check, document or talk to other products stay here; so do types and maps.
skip=(@biomejs typescript @typescript bun-types oazapfts @oazapfts playwright-core @anthropic-ai openai ai @ai-sdk)
tar -c --sort=name --exclude='*.map' --exclude='*.d.ts' --exclude='*.d.mts' --exclude='*.d.cts' \
  "${skip[@]/#/--exclude=node_modules/}" node_modules | squeeze >"$out/packages.tar.xz"

# The pin and the patches may have changed since the last set-up: then the other machine would want to fetch it again.
"$bun" vendor/fetch.ts

# Of the source, what every run reads: licenses, vocabularies of the models that tests write, templates.
source=vendor/llama.cpp
parts=("$source"/{LICENSE,licenses,.ml-offload-stamp,src,models/templates})
for name in llama-bpe llama-spm qwen2 gemma-4 refact bert-bge phi-3 deepseek-llm; do
  parts+=("$source/models/ggml-vocab-$name.gguf")
done
if [ -n "$native" ]; then
  tar -ch -C "$native" . | squeeze >"$out/native.tar.xz"
else
  # And what CMake reads. Other back ends and other tools are most of the source.
  parts+=("$source"/{CMakeLists.txt,cmake,common,ggml,include,vendor} "$source"/tools/{server,mtmd,quantize})
fi
others=()
for folder in "$source"/ggml/src/*/; do
  case $folder in */ggml-cpu/ | */ggml-cuda/) ;; *) others+=("--exclude=${folder%/}") ;; esac
done
tar -c --sort=name --exclude='*.md' "${others[@]}" "${parts[@]}" | squeeze >"$out/llama.tar.xz"

travels() { git ls-files -z --cached --others --exclude-standard | xargs -0 du -cb 2>/dev/null | tail -1 | cut -f1; }
total=$(($(travels) + $(du -cb "$out"/*.* | tail -1 | cut -f1)))
ls -l "$out" | awk 'NR > 1 { printf "%8.1f MiB  %s\n", $5 / 1048576, $9 }'
printf '%8.1f MiB  in all, the checkout with them\n' "$(echo "$total / 1048576" | bc -l)"
if [ "$total" -gt $((${MAX_MIB:-64} * 1048576)) ]; then
  echo "that is more than ${MAX_MIB:-64} MiB" >&2
  exit 1
fi
