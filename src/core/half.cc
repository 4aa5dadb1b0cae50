#include "nudge/half.h"

#include <bit>
#include <cstddef>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace nudge {
namespace {

#if defined(__x86_64__)
// F16C works on AVX registers, so the operating system must save those too (XCR0 bits 1 and 2).
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kNeeded = (1u << 27) | (1u << 28) | (1u << 29);  // OSXSAVE, AVX, F16C
  if ((c & kNeeded) != kNeeded) return false;
  unsigned low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & 6u) == 6u;
}

__attribute__((target("avx,f16c"))) std::size_t to_half_f16c(const float* from, Half* to,
                                                             std::size_t size) {
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), halves);
  }
  return i;
}

__attribute__((target("avx,f16c"))) std::size_t to_float_f16c(const Half* from, float* to,
                                                              std::size_t size) {
  std::size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i));
    _mm256_storeu_ps(to + i, _mm256_cvtph_ps(halves));
  }
  return i;
}

bool f16c() {
  static const bool present = has_f16c();
  return present;
}
#endif

}  // namespace

Half half_from_float(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<Half>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;

  if (magnitude > 0x7f800000u) {  // NaN: quiet, upper payload kept
    return static_cast<Half>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  }
  if (magnitude >= 0x477ff000u) return static_cast<Half>(sign | 0x7c00u);  // >= 65520: infinity
  if (magnitude < 0x38800000u) {               // below 2^-14: subnormal or zero
    if (magnitude < 0x33000000u) return sign;  // below 2^-25: zero
    // The value is significand * 2^(exponent - 150); one unit of the result is 2^-24.
    const std::uint32_t shift = 126u - (magnitude >> 23);
    const std::uint32_t significand = (magnitude & 0x7fffffu) | 0x800000u;
    const std::uint32_t kept = significand >> shift;
    const std::uint32_t rest = significand & ((1u << shift) - 1);
    const std::uint32_t tie = 1u << (shift - 1);
    const bool up = rest > tie || (rest == tie && (kept & 1) != 0);
    return static_cast<Half>(sign | (kept + (up ? 1 : 0)));
  }
  // Rebias the exponent by 127 - 15 and round 13 bits away; a carry rightly moves the exponent.
  const std::uint32_t rounded = magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<Half>(sign | (rounded >> 13));
}

float float_from_half(Half value) {
  const std::uint32_t sign = static_cast<std::uint32_t>(value & 0x8000u) << 16;
  const std::uint32_t exponent = (value >> 10) & 0x1fu;
  std::uint32_t significand = value & 0x3ffu;
  if (exponent == 0x1f) {
    if (significand != 0) significand |= 0x200u;  // quiet, as the instruction does
    return std::bit_cast<float>(sign | 0x7f800000u | (significand << 13));
  }
  if (exponent == 0) {
    const float magnitude = static_cast<float>(significand) * 0x1p-24f;  // exact
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (significand << 13));
}

void to_half(std::span<const float> from, std::span<Half> to) {
  std::size_t i = 0;
#if defined(__x86_64__)
  if (f16c()) i = to_half_f16c(from.data(), to.data(), from.size());
#endif
  for (; i < from.size(); ++i) to[i] = half_from_float(from[i]);
}

void to_float(std::span<const Half> from, std::span<float> to) {
  std::size_t i = 0;
#if defined(__x86_64__)
  if (f16c()) i = to_float_f16c(from.data(), to.data(), from.size());
#endif
  for (; i < from.size(); ++i) to[i] = float_from_half(from[i]);
}

}  // namespace nudge
