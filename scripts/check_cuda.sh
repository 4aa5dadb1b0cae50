#!/usr/bin/env bash
# Does training and looking on a GPU give what the CPU gives, and how fast is it? For a machine with
# an NVIDIA GPU and a LibTorch that has CUDA; the tests of every other machine skip all of this.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: scripts/check_cuda.sh [--torch FOLDER] [--seconds S] [--json]

Installs what is missing, builds what computes with LibTorch (build/cuda), runs its tests, those on the GPU and in the
learner's sandbox among them, and measures training steps, a head's sample and a large TorchScript backbone on one core
of the CPU and on the GPU. Needs the driver, and no CUDA toolkit.

  --torch FOLDER  a LibTorch with CUDA: the folder of its include/ and lib/; by default the system's
  --seconds S     how long each figure is measured; 2 by default
  --json          one JSON object on standard output instead of a table
  --help          this text

Exit codes: 0 all tests passed, 1 one failed, 64 wrong arguments, 66 there is no LibTorch in FOLDER, 69 there is no GPU that
this LibTorch can use, 70 it does not build.
TEXT
}

torch=""
seconds=2
json=no
while (($# > 0)); do
  case "$1" in
    --help | -h)
      usage
      exit 0
      ;;
    --torch)
      torch="${2-}"
      shift
      ;;
    --seconds)
      seconds="${2-}"
      if [[ ! "$seconds" =~ ^[0-9]+([.][0-9]+)?$ ]]; then fail 64 "--seconds takes a number"; fi
      shift
      ;;
    --json) json=yes ;;
    *) fail 64 "unknown argument $1; see --help" ;;
  esac
  shift || fail 64 "the last argument needs a value; see --help"
done

if [[ -n "$torch" ]]; then
  if [[ ! -e "$torch/include/torch/csrc/api/include/torch/torch.h" ]]; then
    fail 66 "$torch has no include/torch/csrc/api/include/torch/torch.h, so it is no LibTorch"
  fi
  torch="$(cd -- "$torch" && pwd)"
fi
# The driver's control device; Jetson boards have another.
if [[ ! -e /dev/nvidiactl && ! -e /dev/nvhost-ctrl-gpu ]]; then
  fail 69 "there is no NVIDIA GPU here whose driver is loaded (no /dev/nvidiactl): there is nothing to check"
fi

folder="$root/build/cuda"
work="$(mktemp -d)"
trap 'rm -rf -- "$work"' EXIT
"$root/scripts/setup.sh" --for test
say "Configuring build/cuda"
# What was found of another LibTorch before is looked for again.
cmake -S "$root" -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$torch" -U "TORCH_*" \
  -U Torch_DIR -U Caffe2_DIR -DNUDGE_WITH_WEB=OFF -Wno-dev >"$work/configure" 2>&1 || {
  tail -n 20 -- "$work/configure" >&2
  fail 70 "it cannot be configured; CMake's last words are above"
}
say "Building (some minutes the first time)"
cmake --build "$folder" -j "$(build_jobs)" --target policy_torch_test loop_test device_bench >"$work/build" 2>&1 || {
  tail -n 40 -- "$work/build" >&2
  fail 70 "it does not build; the compiler's last words are above"
}

say "Testing"
code=0
run_tests() {  # run_tests PROGRAM FILTER
  "$folder/test/$1" --gtest_filter="$2" --gtest_output="json:$work/$1.json" >"$work/$1.log" 2>&1 || code=1
  if [[ ! -s "$work/$1.json" ]] || grep -q '^\[  FAILED  \]' -- "$work/$1.log"; then
    grep -v '^\[ RUN\|^\[       OK\|^\[  SKIPPED' -- "$work/$1.log" >&2 || true
  fi
  if [[ ! -s "$work/$1.json" ]]; then fail 1 "$1 ended early; what it said is above"; fi
}
run_tests policy_torch_test '*'
run_tests loop_test 'Gpu*:LearnersGpu.*:LearnersDevice.*:Sandbox*'
say "Measuring"
"$folder/test/device_bench" --seconds "$seconds" >"$work/figures" || fail 1 "the benchmark failed"
if ! grep -q '"device":"cuda"' -- "$work/figures"; then
  fail 69 "the driver is loaded, but this LibTorch finds no GPU: it was built without CUDA, or for another" \
    "generation of drivers ('nvidia-smi' says which versions of CUDA the driver has)"
fi

gpu="$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -n 1 || true)"
python3 - "$work" "$json" "$gpu" <<'PYTHON'
import json, pathlib, sys
work, as_json, gpu = pathlib.Path(sys.argv[1]), sys.argv[2] == "yes", sys.argv[3]
programs = [json.loads(file.read_text()) for file in sorted(work.glob("*_test.json"))]
cases = [case for program in programs for suite in program["testsuites"] for case in suite["testsuite"]]
figures = [json.loads(line) for line in (work / "figures").read_text().splitlines()]
on_gpu = [case for case in cases if "OnAGpu" in case["name"] or case["classname"] == "LearnersGpu"]
apart = {case["name"]: {key: float(case[key]) for key in ("apart_of_the_way", "largest_action_difference")}
         for case in on_gpu if "apart_of_the_way" in case}
result = {"gpu": gpu, "tests": len(cases), "failed": sum(p["failures"] for p in programs),
          "skipped": sum(case.get("result") == "SKIPPED" for case in cases),
          "on_the_gpu": sum(case.get("result") != "SKIPPED" for case in on_gpu),
          "after_200_steps": apart, "figures": figures}
if as_json:
    print(json.dumps(result, indent=2))
else:
    print(f"{gpu or 'a GPU'}: {result['tests']} tests, {result['on_the_gpu']} of them the GPU against the CPU, "
          f"{result['failed']} failed, {result['skipped']} skipped")
    for name, values in apart.items():
        print(f"  {name}: weights {values['apart_of_the_way']:.1e} of their way apart after 200 steps, "
              f"actions {values['largest_action_difference']:.1e}")
    rows = {}
    for figure in figures:
        rows.setdefault((figure["what"], figure["unit"]), {})[figure["device"]] = figure["value"]
    print(f"{'':<42} {'CPU':>10} {'GPU':>10}")
    for (what, unit), values in rows.items():
        cells = [f"{values[d]:10.4g}" if d in values else f"{'-':>10}" for d in ("cpu", "cuda")]
        print(f"{what:<42} {' '.join(cells)} {unit}")
PYTHON
exit "$code"
