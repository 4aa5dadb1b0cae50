#!/usr/bin/env bash
# Builds the benchmarks and runs them.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: scripts/bench.sh [--rounds N] [--filter REGEX] [--page] [NAME...]
       scripts/bench.sh --growth [--page]

Installs what is missing, builds the presets 'bench' and 'release', and measures: every benchmark program, or those
named (control, dataset, head, kitchen, link, replay, swap, and of the whole program live, takeover, watched), one after
the other, N times.
Leaves each round's figures in build/bench-results/NAME-ROUND.json and prints the medians beside the design's numbers.
All of it takes about 25 minutes; other load on the machine spoils it.

  --rounds N       how often; 5 by default
  --filter REGEX   only benchmarks whose names match, of the parts
  --growth         instead: what the whole program costs against what it is given, once; about 20 minutes, and 1.3 GB
                   in $TMPDIR (/tmp). Figures in build/growth-results/growth-1.json
  --page           write the table into docs/reference/benchmarks.md, and plots into docs/images
  --help           this text

Exit codes: 0 all ran, 1 one failed, 64 wrong arguments.
TEXT
}

filter=()
names=()
rounds=5
growth=false
table=()
plots=()
while (($# > 0)); do
  case "$1" in
    --help | -h)
      usage
      exit 0
      ;;
    --filter)
      filter=("--benchmark_filter=${2-}")
      shift
      ;;
    --rounds)
      rounds="${2-}"
      if [[ ! "$rounds" =~ ^[1-9][0-9]?$ ]]; then fail 64 "--rounds takes a number from 1 to 99"; fi
      shift
      ;;
    --growth) growth=true ;;
    --page)
      table=(--page "$root/docs/reference/benchmarks.md")
      plots=(--plots "$root/docs/images")
      ;;
    live | takeover | watched) names+=("$1") ;;
    -*) fail 64 "unknown argument $1; see --help" ;;
    *)
      if [[ ! -f "$root/test/bench/$1_bench.cc" ]]; then fail 64 "no benchmark named $1; see --help"; fi
      names+=("$1")
      ;;
  esac
  shift || fail 64 "the last argument needs a value; see --help"
done

if [[ "$growth" == true ]]; then
  if ((${#names[@]} > 0)); then fail 64 "--growth takes no names; see --help"; fi
  "$root/scripts/setup.sh" --for bench --for test
  configure bench
  build bench make_log
  configure release
  build release nudge
  results="$root/build/growth-results"
  rm -rf -- "$results"
  mkdir -p -- "$results"
  /usr/bin/python3 "$root/test/bench/growth.py" "$root/build/release/nudge" \
    --maker "$root/build/bench/test/bench/make_log" --json "$results/growth-1.json" || fail 1 "it could not be measured"
  if ((${#plots[@]} > 0)); then python3 "$root/test/bench/report.py" "$results" "${plots[@]}"; fi
  say "Figures: $results"
  exit 0
fi

if ((${#names[@]} == 0)); then
  for source in "$root"/test/bench/*_bench.cc; do
    name="$(basename -- "$source" _bench.cc)"
    names+=("$name")
  done
  names+=(takeover live watched)
fi

"$root/scripts/setup.sh" --for bench --for test
parts=()
for name in "${names[@]}"; do
  case "$name" in
    live | takeover | watched) ;;
    *) parts+=("${name}_bench") ;;
  esac
done
if ((${#parts[@]} > 0)); then
  configure bench
  build bench "${parts[@]}"
fi
if ((${#parts[@]} < ${#names[@]})); then
  configure release
  build release nudge
fi

results="$root/build/bench-results"
rm -rf -- "$results"
mkdir -p -- "$results"
code=0
for ((round = 1; round <= rounds; ++round)); do
  for name in "${names[@]}"; do
    say "Round $round of $rounds: $name"
    file="$results/$name-$round.json"
    case "$name" in
      watched)
        /usr/bin/python3 "$root/test/bench/live.py" "$root/build/release/nudge" --minutes 0.5 --cameras --viewers 2 \
          --json >"$file" || code=1
        ;;
      live) /usr/bin/python3 "$root/test/bench/live.py" "$root/build/release/nudge" --minutes 1 --json >"$file" || code=1 ;;
      takeover) /usr/bin/python3 "$root/test/bench/takeover.py" "$root/build/release/nudge" --times 20 --json >"$file" || code=1 ;;
      *)
        # How often the expert succeeds is the same each time, and takes three minutes.
        once=()
        if [[ "$name" == kitchen && "$round" -gt 1 && ${#filter[@]} -eq 0 ]]; then
          once=(--benchmark_filter=-Expert)
        fi
        OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$root/build/bench/test/bench/${name}_bench" \
          --benchmark_out="$file" --benchmark_out_format=json "${filter[@]}" "${once[@]}" >/dev/null || code=1
        ;;
    esac
    if [[ ! -s "$file" ]]; then
      say "$name failed"
      rm -f -- "$file"
      code=1
    fi
  done
done

python3 "$root/test/bench/report.py" "$results" "${table[@]}" "${plots[@]}"
say "Figures: $results"
exit "$code"
