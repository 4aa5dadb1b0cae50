#!/usr/bin/env bash
# Builds the benchmarks and runs them.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: scripts/bench.sh [--filter REGEX] [NAME...]

Installs what is missing, builds the preset 'bench', runs every benchmark program, or those named
(replay, dataset, swap, head, kitchen, control), and prints a table. Each leaves its figures, with those of the
machine, in build/bench-results/NAME.json. Takes minutes; other load on the machine spoils it.

  --filter REGEX   only benchmarks whose names match
  --help           this text

Exit codes: 0 all ran, 1 one failed, 64 wrong arguments.
TEXT
}

filter=()
names=()
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
    -*) fail 64 "unknown argument $1; see --help" ;;
    *)
      if [[ ! -f "$root/test/bench/$1_bench.cc" ]]; then fail 64 "no benchmark named $1; see --help"; fi
      names+=("$1")
      ;;
  esac
  shift || fail 64 "the last argument needs a value; see --help"
done
if ((${#names[@]} == 0)); then
  for source in "$root"/test/bench/*_bench.cc; do
    name="$(basename -- "$source" _bench.cc)"
    names+=("$name")
  done
fi

"$root/scripts/setup.sh" --for bench
configure bench
build bench "${names[@]/%/_bench}"

results="$root/build/bench-results"
mkdir -p -- "$results"
code=0
done_files=()
for name in "${names[@]}"; do
  say "Running $name"
  if OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$root/build/bench/test/bench/${name}_bench" \
    --benchmark_out="$results/$name.json" --benchmark_out_format=json "${filter[@]}" >/dev/null; then
    done_files+=("$results/$name.json")
  else
    say "$name failed"
    code=1
  fi
done
if ((${#done_files[@]} == 0)); then exit 1; fi

python3 - "${done_files[@]}" <<'PYTHON'
import json, pathlib, sys

rows = [("program", "benchmark", "time", "unit", "further figures")]
for file in map(pathlib.Path, sys.argv[1:]):
    text = file.read_text()
    for run in json.loads(text).get("benchmarks", []) if text.strip() else []:
        if run.get("error_occurred"):
            rows.append((file.stem, run["name"], "-", "", "failed: " + run["error_message"]))
            continue
        known = {"family_index", "per_family_instance_index", "repetitions", "repetition_index",
                 "threads", "iterations", "real_time", "cpu_time"}
        further = ", ".join(f"{key} {value:.4g}" for key, value in run.items()
                            if isinstance(value, (int, float)) and key not in known)
        rows.append((file.stem, run["name"], f"{run['real_time']:.4g}", run["time_unit"],
                     " ".join(filter(None, (run.get("label", ""), further)))))
widths = [max(len(row[i]) for row in rows) for i in range(4)]
for row in rows:
    print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[4]]).rstrip())
sys.exit(any(row[4].startswith("failed: ") for row in rows))
PYTHON
say "Figures: $results"
exit "$code"
