// Counts what a program takes from the heap. Replaces its operators: for one source of a program.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

namespace nudge::test {

inline std::size_t allocations = 0;

}  // namespace nudge::test

// Not inlined: GCC would see malloc() and free() where it expects operators that it knows.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++nudge::test::allocations;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (void* memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
