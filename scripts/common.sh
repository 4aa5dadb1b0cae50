# shellcheck shell=bash
# What the scripts share. Sourced, never run.

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
readonly root

say() { printf '%s\n' "$*" >&2; }
fail() {  # fail CODE MESSAGE...
  local code="$1"
  shift
  say "error: $*"
  exit "$code"
}

# Memory this process may still use, in MiB: of the machine, or less where a control group says so.
memory_mib() {
  local available limit used
  available="$(awk '/^MemAvailable:/ {print int($2 / 1024)}' /proc/meminfo)"
  if [[ -r /sys/fs/cgroup/memory.max && -r /sys/fs/cgroup/memory.current ]]; then
    limit="$(cat /sys/fs/cgroup/memory.max)"
    used="$(cat /sys/fs/cgroup/memory.current)"
    if [[ "$limit" != max ]]; then
      limit=$(((limit - used) / 1048576))
      if ((limit < available)); then available="$limit"; fi
    fi
  fi
  printf '%s\n' "$available"
}

# Compilers to run at once. A source that includes LibTorch needs about 1.5 GB.
build_jobs() {
  local cores by_memory
  cores="$(nproc)"
  by_memory=$(($(memory_mib) / 1536))
  if ((by_memory < 1)); then by_memory=1; fi
  if ((by_memory < cores)); then printf '%s\n' "$by_memory"; else printf '%s\n' "$cores"; fi
}

# configure PRESET [CMAKE ARGUMENTS...]: only when there is something new to configure. Ninja runs
# CMake again by itself when a CMakeLists.txt changes.
configure() {
  local preset="$1" folder="$root/build/$1"
  shift
  if [[ -e "$folder/build.ninja" && "$folder/build.ninja" -nt "$root/CMakePresets.json" && $# -eq 0 ]]; then
    return 0
  fi
  say "Configuring build/$preset"
  (cd -- "$root" && cmake --preset "$preset" "$@" -Wno-dev --log-level=ERROR >/dev/null)
}

# build PRESET [TARGET...]: everything when no target is named.
build() {
  local preset="$1" jobs
  shift
  jobs="$(build_jobs)"
  say "Building build/$preset with $jobs jobs (minutes the first time, seconds afterwards)"
  local targets=()
  if (($# > 0)); then targets=(--target "$@"); fi
  # By preset, so that programs which run during the build have its environment.
  (cd -- "$root" &&
    NINJA_STATUS='[%f/%t %es] ' cmake --build --preset "$preset" -j "$jobs" "${targets[@]}" >&2)
}
