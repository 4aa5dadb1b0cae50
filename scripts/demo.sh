#!/usr/bin/env bash
# From a fresh checkout to a robot that learns from corrections.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: scripts/demo.sh --headless [ARGUMENTS OF nudge demo]

Installs what is missing, builds Nudge, and lets a scripted supervisor correct a robot in the
simulated kitchen. Arguments are passed on, for example:

  scripts/demo.sh --headless --seed 3 --episodes 15
  scripts/demo.sh --headless --json

The live page in a browser (without --headless) comes with a later version.
  --help         this text
`build/release/nudge demo --help` lists what else the demo understands.
TEXT
}

headless=no
for argument in "$@"; do
  case "$argument" in
    --headless) headless=yes ;;
    --help | -h)
      usage
      exit 0
      ;;
  esac
done
if [[ "$headless" == no ]]; then
  fail 64 "the live page comes with a later version; run scripts/demo.sh --headless"
fi

"$root/scripts/setup.sh"
configure release
build release nudge
exec "$root/build/release/nudge" demo "$@"
