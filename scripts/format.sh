#!/usr/bin/env bash
# Checks or fixes the layout of the C++ sources.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: scripts/format.sh [check|fix]

  check    exits 1 and names the files that are not laid out as .clang-format says (default)
  fix      rewrites them
  --help   this text

Uses clang-format 14, whose output counts, or the newest there is, which may differ in details.
TEXT
}

case "${1-check}" in
  --help | -h)
    usage
    exit 0
    ;;
  check | fix) ;;
  *) fail 64 "unknown argument $1; see --help" ;;
esac
if (($# > 1)); then fail 64 "too many arguments; see --help"; fi

tool=""
for name in clang-format-14 clang-format-{19,18,17,16,15} clang-format; do
  if command -v "$name" >/dev/null; then
    tool="$name"
    break
  fi
done
if [[ -z "$tool" ]]; then fail 69 "clang-format is not installed; run scripts/setup.sh --for format"; fi

cd -- "$root"
mapfile -d '' -t files < <(git ls-files -z --cached --others --exclude-standard -- '*.h' '*.cc')
present=()
for file in "${files[@]}"; do
  if [[ -f "$file" ]]; then present+=("$file"); fi
done
if ((${#present[@]} == 0)); then exit 0; fi
if [[ "${1-check}" == fix ]]; then
  exec "$tool" -i -- "${present[@]}"
fi

wrong=0
for file in "${present[@]}"; do
  if ! "$tool" --dry-run -Werror -- "$file" >/dev/null 2>&1; then
    say "$file"
    wrong=$((wrong + 1))
  fi
done
if ((wrong > 0)); then
  say "$wrong of ${#present[@]} files are not laid out by $tool; scripts/format.sh fix rewrites them"
  exit 1
fi
say "${#present[@]} files are laid out by $tool"
