#!/usr/bin/env bash
# Which lines of the log, the authority and the weights no test runs.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: scripts/coverage.sh [MODULE...]

Builds the tests of the modules (replay, feedback, policy; all of them when none is named) in
build/coverage with counters for every line, runs them, and lists per source file how many of its
lines ran and which did not. docs/reference/reliability.md says what those are that no test reaches.
  --jobs N   compilers at a time; as many as there are cores when it is not given
  --help     this text
TEXT
}

modules=()
jobs="$(nproc)"
while (($# > 0)); do
  case "$1" in
    --help | -h)
      usage
      exit 0
      ;;
    --jobs)
      [[ "${2-}" =~ ^[1-9][0-9]*$ ]] || fail 64 "--jobs wants a number; see --help"
      jobs="$2"
      shift
      ;;
    replay | feedback | policy) modules+=("$1") ;;
    *) fail 64 "unknown argument '$1'; see scripts/coverage.sh --help" ;;
  esac
  shift
done
((${#modules[@]} > 0)) || modules=(replay feedback policy)
command -v gcov >/dev/null || fail 69 "gcov is not installed; it comes with g++"

cd -- "$root"
cmake -S . -B build/coverage -G Ninja -DCMAKE_BUILD_TYPE=Debug \
  -DCMAKE_CXX_FLAGS_DEBUG="-O0 -g1 --coverage -fprofile-abs-path" -DNUDGE_WITH_TORCH=OFF \
  -DNUDGE_WITH_SIM=OFF -DNUDGE_WITH_WEB=OFF >/dev/null
programs=()
for module in "${modules[@]}"; do programs+=("${module}_test"); done
ninja -j "$jobs" -C build/coverage "${programs[@]}" >/dev/null
find build/coverage -name '*.gcda' -delete
for program in "${programs[@]}"; do
  "build/coverage/test/$program" --gtest_brief=1 >/dev/null ||
    fail 1 "$program fails; the lines that it ran are counted all the same"
done
python3 scripts/coverage_lines.py build/coverage "${modules[@]}"
