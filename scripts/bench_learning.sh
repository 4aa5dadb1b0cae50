#!/usr/bin/env bash
# Builds the program and measures how it learns from corrections in the simulated kitchen.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: scripts/bench_learning.sh [--quick] [--all] [--ablations] [--paraphrases] [--seeds N]
                                 [--only NAME]... [--list] [--json] [--page]

Installs what is missing, builds the preset 'release', and runs one piece for each case and seed: a base policy, a
scripted supervisor who corrects it, and its success on held-out starts. Pieces take minutes each, on one core; all of
them take many hours. Each leaves a file in build/learning-results, and what is there is not run again, so that a run
that was broken off goes on. Other load makes rounds slower, which is charged; the report says what there was.

  --quick          one case, one seed, few starts, one variant: under 3 minutes; figures that mean nothing, in
                   build/learning-results-quick
  --ablations      beside the cases, the variants of one
  --paraphrases    beside the cases, the same policies told their task in 20 other ways
  --all            both
  --seeds N        seeds 1 to N; 5 by default
  --only NAME      this piece alone; repeatable
  --list           names the pieces and runs none
  --json           print the figures as JSON
  --page           write tables into docs/reference/learning-benchmark.md, and plots into docs/images
  --help           this text

Exit codes: 0 all ran, 1 one failed, 64 wrong arguments.
TEXT
}

results="$root/build/learning-results"
pieces=()
report=()
only=()
words=no
while (($# > 0)); do
  case "$1" in
    --help | -h)
      usage
      exit 0
      ;;
    --quick)
      pieces+=(--quick)
      results="$root/build/learning-results-quick"
      ;;
    --ablations) pieces+=(--ablations) ;;
    --paraphrases | --all)
      pieces+=("$1")
      words=yes
      ;;
    --list) exec python3 "$root/test/bench/learning.py" none none --list ;;
    --seeds)
      if [[ ! "${2-}" =~ ^[1-9][0-9]?$ ]]; then fail 64 "--seeds takes a number from 1 to 99; see --help"; fi
      pieces+=(--seeds "$2")
      shift
      ;;
    --only)
      only+=("${2-}")
      if [[ "${2-}" == told-* ]]; then words=yes; fi
      shift || true
      ;;
    --json) report+=(--json) ;;
    --page) report+=(--page "$root/docs/reference/learning-benchmark.md" --plots "$root/docs/images") ;;
    *) fail 64 "unknown argument $1; see --help" ;;
  esac
  shift || fail 64 "the last argument needs a value; see --help"
done
if ((${#only[@]} > 0)); then pieces+=(--only "${only[@]}"); fi

"$root/scripts/setup.sh"
if [[ "$words" == yes ]]; then "$root/scripts/setup.sh" --for words; fi
configure release
build release nudge
mkdir -p -- "$results"
python3 "$root/test/bench/learning.py" "$root/build/release/nudge" "$results" "${pieces[@]}"
python3 "$root/test/bench/learning_report.py" "$results" "${report[@]}"
say "Figures: $results"
