#!/usr/bin/env bash
# Builds Nudge with its tests and runs them.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: scripts/test.sh [--preset NAME] [--filter REGEX]

Installs what is missing, builds and runs the tests; says what failed and why.

  --preset release   as it runs on a robot (default)
  --preset dev       with assertions
  --preset asan      address and undefined-behaviour sanitizers
  --preset tsan      thread sanitizer
  --preset clang     Clang, for all that does not include LibTorch
  --preset fuzz      the committed inputs of the fuzz targets
  --preset bench     every benchmark for a moment; for figures use scripts/bench.sh
  --filter REGEX     only tests whose names match, for example '^replay'
  --help             this text

Exits with 0 when every test passed.
TEXT
}

preset=release
filter=()
while (($# > 0)); do
  case "$1" in
    --help | -h)
      usage
      exit 0
      ;;
    --preset)
      preset="${2-}"
      shift
      ;;
    --filter)
      filter=(--tests-regex "${2-}")
      shift
      ;;
    *) fail 64 "unknown argument $1; see --help" ;;
  esac
  shift || fail 64 "the last argument needs a value; see --help"
done

purposes=(--for test)
extra=()
wrapper=()
case "$preset" in
  release | dev | asan) ;;
  tsan)
    # The thread sanitizer needs memory where newer kernels' address randomisation may put other
    # things; some containers do not let it be turned off.
    if setarch "$(uname -m)" -R true 2>/dev/null; then wrapper=(setarch "$(uname -m)" -R); fi
    ;;
  clang | fuzz) purposes+=(--for clang) ;;
  bench) purposes+=(--for bench) ;;
  *) fail 64 "no preset named '$preset'; see --help" ;;
esac

"$root/scripts/setup.sh" "${purposes[@]}"

if [[ "$preset" == clang || "$preset" == fuzz ]] && [[ ! -e "$root/build/$preset/build.ninja" ]] &&
  ! command -v clang++-14 >/dev/null; then
  for version in 19 18 17 16 15; do
    if command -v "clang++-$version" >/dev/null; then
      extra=("-DCMAKE_CXX_COMPILER=clang++-$version")
      break
    fi
  done
fi

started=$SECONDS
configure "$preset" "${extra[@]}"
# Listing the tests runs them, so the build needs the same surroundings.
if ((${#wrapper[@]} > 0)); then
  export -f build build_jobs memory_mib say
  export root
  # shellcheck disable=SC2016  # the inner shell expands it
  "${wrapper[@]}" bash -euo pipefail -c 'build "$1"' build "$preset"
else
  build "$preset"
fi
say "Built in $((SECONDS - started)) s"

# Two at a time: tests start processes of their own, and their timeouts are meant for a small machine.
started=$SECONDS
code=0
report="$(mktemp)"
trap 'rm -f -- "$report"' EXIT
# What sanitizers say goes here (CMakePresets.json), whichever process it was: the program outlives
# its learner, and some tests expect a program to fail, so a test may pass all the same.
found="$root/build/$preset/reports"
rm -rf -- "$found"
mkdir -- "$found"
(cd -- "$root" && "${wrapper[@]}" ctest --preset "$preset" --no-tests=error -j2 "${filter[@]}" 2>&1) |
  tee -- "$report" || code=$?
# "100% tests passed, 0 tests failed out of 213"
summary="$(grep -E '^[0-9]+% tests passed' "$report" || true)"
took="$((SECONDS - started)) s"
mapfile -t findings < <(find "$found" -type f)
if ((${#findings[@]} > 0)); then
  cat -- "${findings[@]}" >&2
  say "A sanitizer found something in ${#findings[@]} processes; see above"
  if ((code == 0)); then code=1; fi
fi
if ((code == 0)); then
  say "PASSED: ${summary##* } tests ($preset, $took)"
elif [[ -n "$summary" ]]; then
  failed="${summary#*, }"
  say "FAILED: ${failed%% *} of ${summary##* } tests ($preset, $took); what failed is printed above"
else
  say "FAILED: no test ran ($preset, $took); why is printed above"
fi
exit "$code"
