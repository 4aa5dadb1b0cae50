#!/usr/bin/env bash
# Looks for bugs with clang-tidy, by the checks in .clang-tidy.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: scripts/tidy.sh [FILE...]

Runs clang-tidy on the named sources, or on all but those that include LibTorch: Clang 14 cannot
read LibTorch 1.13 in C++20. Sets up build/clang for the commands of the compiler.
  --help   this text
TEXT
}

case "${1-}" in
  --help | -h)
    usage
    exit 0
    ;;
esac

tool=""
for name in clang-tidy-14 clang-tidy-{19,18,17,16,15} clang-tidy; do
  if command -v "$name" >/dev/null; then
    tool="$name"
    break
  fi
done
if [[ -z "$tool" ]]; then
  fail 69 "clang-tidy is not installed; run scripts/setup.sh --for tidy --for clang"
fi

files=()
for file in "$@"; do files+=("$(realpath -- "$file")"); done
cd -- "$root"
extra=()
if ! command -v clang++-14 >/dev/null; then
  version="${tool#clang-tidy-}"
  if command -v "clang++-$version" >/dev/null; then
    extra=("-DCMAKE_CXX_COMPILER=clang++-$version")
  fi
fi
if [[ ! -e build/clang/compile_commands.json ]]; then configure clang "${extra[@]}"; fi
if ((${#files[@]} == 0)); then
  # What CMake compiles there, our own only: tests follow the framework's style of macros.
  mapfile -t files < <(python3 - build/clang/compile_commands.json "$root" <<'PYTHON'
import json, sys
root = sys.argv[2]
for command in json.load(open(sys.argv[1])):
    path = command["file"]
    if path.startswith(root + "/") and not path.startswith((root + "/test/", root + "/build/")):
        print(path)
PYTHON
  )
fi
if ((${#files[@]} == 0)); then fail 70 "build/clang compiles nothing; remove the folder and try again"; fi
printf '%s\0' "${files[@]}" |
  xargs -0 -n 1 -P "$(build_jobs)" "$tool" -p build/clang --quiet
say "${#files[@]} files looked at"
