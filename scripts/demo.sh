#!/usr/bin/env bash
# From a fresh checkout to a robot that learns from corrections.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: scripts/demo.sh [--headless] [ARGUMENTS OF nudge demo]

Installs what is missing, builds Nudge, and lets a scripted supervisor correct a robot in the
simulated kitchen.

  scripts/demo.sh              in real time, beside a page on which you can watch and take over;
                               prints its address; Ctrl-C ends; starting again goes on
  scripts/demo.sh --fresh      the same from the beginning
  scripts/demo.sh --headless   faster than real time, with figures and a plot at the end

Arguments are passed on, for example:

  scripts/demo.sh --headless --seed 3 --episodes 15
  scripts/demo.sh --headless --json
  scripts/demo.sh --set ports.http=9090

  --help         this text
`build/release/nudge demo --help` lists what else the demo understands.
TEXT
}

for argument in "$@"; do
  case "$argument" in
    --help | -h)
      usage
      exit 0
      ;;
  esac
done

"$root/scripts/setup.sh"
configure release
build release nudge
exec "$root/build/release/nudge" demo "$@"
