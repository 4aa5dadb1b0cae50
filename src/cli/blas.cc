#include "src/cli/blas.h"

#include <dlfcn.h>
#include <strings.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace nudge {
namespace {

constexpr const char* kGuard = "NUDGE_BLAS_CHOSEN";

}  // namespace

CpuFeatures cpu_features() {
  CpuFeatures features;
#if defined(__x86_64__)
  __builtin_cpu_init();
  features.avx2_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  features.avx512_skylake =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl");
#endif
  return features;
}

std::string blas_core_type(const CpuFeatures& features) {
  if (features.avx512_skylake) return "SkylakeX";
  if (features.avx2_fma) return "Haswell";
  return "";
}

BlasEnvironment blas_environment(const CpuFeatures& features, const std::string& loaded_core,
                                 const std::function<const char*(const char*)>& variable) {
  BlasEnvironment changes;
  if (variable(kGuard) != nullptr) return changes;
  // The cores whose kernels use AVX2 or better: there OpenBLAS knew the CPU, and knows it better.
  bool known = false;
  for (const char* name : {"Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids"}) {
    known = known || strcasecmp(loaded_core.c_str(), name) == 0;
  }
  const std::string core = blas_core_type(features);
  if (!known && !loaded_core.empty() && !core.empty() && !variable("OPENBLAS_CORETYPE")) {
    changes.emplace_back("OPENBLAS_CORETYPE", core);
  }
  // More threads than one only get into each other's way beside a control loop.
  for (const char* name : {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"}) {
    if (!variable(name)) changes.emplace_back(name, "1");
  }
  if (!changes.empty()) changes.emplace_back(kGuard, "1");
  return changes;
}

Status prefer_fast_blas(char** argv) {
  if (std::getenv(kGuard) != nullptr) {
    // Started through /proc/self/exe, the process would be listed as "exe".
    const char* slash = std::strrchr(argv[0], '/');
    prctl(PR_SET_NAME, slash != nullptr ? slash + 1 : argv[0], 0, 0, 0);
    return {};
  }
  const BlasEnvironment changes = blas_environment(
      cpu_features(), blas_core_name(), [](const char* name) { return std::getenv(name); });
  if (changes.empty()) return {};
  for (const auto& [name, value] : changes) setenv(name.c_str(), value.c_str(), 1);
  execv("/proc/self/exe", argv);
  return unavailable(std::string("the program could not start itself anew for faster matrix "
                                 "products (") +
                     std::strerror(errno) +
                     "); set OPENBLAS_CORETYPE=" + blas_core_type(cpu_features()) + " yourself");
}

std::string blas_core_name() {
  using CoreName = char* (*)();
  const auto function = reinterpret_cast<CoreName>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  if (function == nullptr) return "";
  const char* name = function();
  return name != nullptr ? name : "";
}

}  // namespace nudge
