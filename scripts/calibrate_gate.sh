#!/usr/bin/env bash
# How often the gate is wrong, by candidates whose quality the simulation knows.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: scripts/calibrate_gate.sh [--quick] [--json] [--page]

Installs what is missing, builds the presets 'bench' and 'release', lets the kitchen's robots learn from a scripted
supervisor, and makes some seventy candidates of each one's weights, good ones and bad ones. Each is offered to the
gate, and tried on 100 starts. Some 10 to 25 minutes a log on one core; logs that are done are not done again. Figures stay
in build/gate-results.

  --quick   one log, few candidates, few starts: a minute, to see that it works; in build/gate-results-quick
  --json    print the rates as JSON
  --page    write tables into docs/reference/gate-calibration.md, and the plot into docs/images
  --help    this text

Exit codes: 0 all ran, 1 one failed, 64 wrong arguments.
TEXT
}

results="$root/build/gate-results"
cases=(level-1-seed-2 level-2-seed-1 level-3-seed-1)
corrected=25 # five of them held out: what the gate calls enough
starts=100
filter=""
report=()
while (($# > 0)); do
  case "$1" in
    --help | -h)
      usage
      exit 0
      ;;
    --quick)
      results="$root/build/gate-results-quick"
      cases=(level-1-seed-2)
      corrected=2
      starts=5
      filter=scaled
      ;;
    --json) report+=(--json) ;;
    --page) report+=(--page "$root/docs/reference/gate-calibration.md" --plots "$root/docs/images") ;;
    *) fail 64 "unknown argument $1; see --help" ;;
  esac
  shift
done

"$root/scripts/setup.sh" --for bench --for test
configure bench
build bench gate_calibration probation_calibration
configure release
build release nudge

mkdir -p -- "$results"
for name in "${cases[@]}"; do
  if [[ -s "$results/$name.jsonl" ]]; then continue; fi
  [[ "$name" =~ ^level-([0-9])-seed-([0-9]+)$ ]]
  say "$name: learning from $corrected corrected episodes"
  rm -rf -- "$results/$name"
  code=0 # 1: it did not get better than chance can explain, which is no matter here
  "$root/build/release/nudge" demo --headless --real-time 0 --out "$results/$name" --level "${BASH_REMATCH[1]}" \
    --seed "${BASH_REMATCH[2]}" --corrected "$corrected" --starts "$starts" --json >/dev/null || code=$?
  if ((code > 1)); then fail 1 "$name could not be learned"; fi
  say "$name: judging"
  OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$root/build/bench/test/bench/gate_calibration" \
    "$results/$name/state" "$starts" "$filter" >"$results/$name.part" ||
    fail 1 "$name could not be judged"
  mv -- "$results/$name.part" "$results/$name.jsonl"
done
"$root/build/bench/test/bench/probation_calibration" >"$results/probation.json"
python3 "$root/test/bench/gate_report.py" "$results" "${report[@]}"
say "Figures: $results"
