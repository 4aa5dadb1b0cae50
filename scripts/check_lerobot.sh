#!/usr/bin/env bash
# Loads exported data sets with LeRobot itself. LeRobot comes with PyTorch and needs a newer Python
# than some systems have, so this is a check of its own and no part of the tests.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: scripts/check_lerobot.sh [--program NUDGE] [--venv FOLDER] [DATA SET...]

Loads LeRobot data sets of v3.0 with the lerobot package and reads every frame. Without DATA SETs it
records, exports and checks some of its own: pictures embedded, as AV1, and as H.264 where ffmpeg
is there; and each as v2.1, converted by LeRobot's own script.

  --program NUDGE  the program; by default build/release/nudge
  --venv FOLDER    where LeRobot is, or is installed to: about 6 GB the first time, from PyPI; by
                   default build/lerobot-venv
  --help           this text

Exit codes: 0 LeRobot reads them, 1 it does not, 64 wrong arguments, 69 there is no Python 3.12 or
newer, or LeRobot cannot be installed.
TEXT
}

program="$root/build/release/nudge"
venv="$root/build/lerobot-venv"
sets=()
while (($# > 0)); do
  case "$1" in
    --help | -h)
      usage
      exit 0
      ;;
    --program) program="${2-}" && shift ;;
    --venv) venv="${2-}" && shift ;;
    -*) fail 64 "unknown argument $1; see --help" ;;
    *) sets+=("$1") ;;
  esac
  shift
done

python="$venv/bin/python"
if [[ ! -x "$python" ]]; then
  found=""
  for name in python3.14 python3.13 python3.12 python3; do
    if command -v "$name" >/dev/null &&
      "$name" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
      found="$name"
      break
    fi
  done
  if [[ -z "$found" ]]; then
    fail 69 "LeRobot needs Python 3.12 or newer, and there is none here. Debian 13 and Ubuntu 24.04" \
      "have one; so has a virtual environment made elsewhere: --venv FOLDER"
  fi
  "$found" -m venv "$venv" || fail 69 "$found cannot make virtual environments; apt-get install" \
    "$found-venv"
fi
if ! "$python" -c 'import lerobot, datasets' 2>/dev/null; then
  say "Installing LeRobot into $venv (some minutes)"
  "$python" -m pip install -q 'lerobot[dataset]' || fail 69 "pip could not install lerobot"
fi

work="$(mktemp -d)"
trap 'rm -rf -- "$work"' EXIT
check() {  # check FOLDER [EXPECTED FRAMES]
  HF_HUB_OFFLINE=1 HF_HOME="$work/cache" PYTHONWARNINGS=ignore \
    "$python" "$root/test/datasets/load_with_lerobot.py" "$@"
}

if ((${#sets[@]} > 0)); then
  for folder in "${sets[@]}"; do check "$folder" || fail 1 "LeRobot does not read $folder"; done
  exit 0
fi

[[ -x "$program" ]] || fail 64 "$program is not there; build it, or name it with --program"
say "Recording"
code=0
"$program" demo --headless --real-time 0 --set sim.cameras=true --set demo.starts=1 \
  --set demo.demonstrations=3 --set learner.base_steps=60 --set learner.full_steps=40 \
  --out "$work/demo" --episodes 2 --corrected 2 --quiet >/dev/null 2>&1 || code=$?
if ((code > 1)); then fail "$code" "the demo failed"; fi
state="$work/demo/state"
export_as() {  # export_as NAME FLAGS...
  local name="$1"
  shift
  "$program" export lerobot "$work/$name" --state "$state" --quiet "$@" >/dev/null ||
    fail 1 "the export failed"
}
check_v21() {  # check_v21 NAME FLAGS...
  local set="$work/v21/local/$1"
  say "v2.1, converted by LeRobot: $1"
  mkdir -p "$work/v21/local"
  export_as "v21/local/$1" --format v2.1 "${@:2}"
  HF_HUB_OFFLINE=1 HF_HOME="$work/cache" "$python" -m lerobot.scripts.convert_dataset_v21_to_v30 \
    --repo-id "local/$1" --root "$set" --push-to-hub false >"$work/convert.log" 2>&1 || {
    tail -n 20 "$work/convert.log" >&2
    fail 1 "LeRobot's script does not convert v2.1"
  }
  check "$set" || fail 1 "LeRobot does not read what it converted"
}
say "Pictures embedded"
export_as embedded
check "$work/embedded" || fail 1 "LeRobot does not read it"
check_v21 embedded
if command -v ffmpeg >/dev/null; then
  for codec in av1 h264; do
    say "Video, $codec"
    export_as "$codec" --pictures video --codec "$codec"
    check "$work/$codec" || fail 1 "LeRobot does not read it"
  done
  check_v21 video --pictures video --codec h264
  check_v21 av1 --pictures video --codec av1
else
  say "ffmpeg is not installed: no videos are checked"
fi
say "LeRobot reads all of them"
