// The OpenBLAS core type. Debian 12's OpenBLAS does not know recent Xeons and falls back to SSE3
// kernels, five times slower. It chooses when it is loaded, before main(): so the program sets
// OPENBLAS_CORETYPE from what the CPU can do, and starts itself anew once.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "nudge/status.h"

namespace nudge {

struct CpuFeatures {
  bool avx2_fma = false;        // AVX2 and FMA, usable under this operating system
  bool avx512_skylake = false;  // AVX-512 F, CD, BW, DQ, VL, usable
};
CpuFeatures cpu_features();

// "SkylakeX", "Haswell", or empty: leave the choice to OpenBLAS.
std::string blas_core_type(const CpuFeatures& features);

// The variables to set, in order, last a guard; empty when nothing is to change. `loaded_core` as
// from blas_core_name(): a core type of AVX2 or better is left alone, since then OpenBLAS knows the
// CPU. `variable` is getenv().
using BlasEnvironment = std::vector<std::pair<std::string, std::string>>;
BlasEnvironment blas_environment(const CpuFeatures& features, const std::string& loaded_core,
                                 const std::function<const char*(const char*)>& variable);

// Call in main() before any thread. It costs a second start, most of which is loading LibTorch (0.4
// s of processor time), so that commands which multiply no matrices do without. Sets
// OPENBLAS_CORETYPE, OPENBLAS_NUM_THREADS and OMP_NUM_THREADS where the user has not, and, if that
// changed anything, replaces the process by itself (/proc/self/exe, same arguments). A guard
// variable makes that happen at most once; child processes inherit all of it. Returns an error only
// when the new start failed; the program then runs on, slower.
Status prefer_fast_blas(char** argv);

// The core type the loaded OpenBLAS runs with ("SkylakeX"), or empty when OpenBLAS is not loaded or
// does not tell. Any thread.
std::string blas_core_name();

}  // namespace nudge
