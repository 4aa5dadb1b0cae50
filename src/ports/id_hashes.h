// Remembers many numbers (hashes of ids) in little memory: 16 to 32 bytes each, a bound on all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace nudge {

// Not thread-safe. A table with open addressing; when it is full it becomes the older half of the
// memory and the half before it is forgotten.
class IdHashes {
 public:
  // At least the newest `half` different numbers are kept, and at most twice as many.
  explicit IdHashes(std::size_t half) : half_(half) {}

  // False: it was known.
  bool insert(std::uint64_t hash) {
    if (contains(hash)) return false;
    if (newer_.count >= half_) {
      older_ = std::move(newer_);
      newer_ = {};
    }
    if (2 * (newer_.count + 1) > newer_.slots.size()) grow();
    place(newer_, used(hash));
    return true;
  }
  bool contains(std::uint64_t hash) const {
    return holds(newer_, used(hash)) || holds(older_, used(hash));
  }
  std::size_t size() const { return newer_.count + older_.count; }

 private:
  struct Table {
    std::vector<std::uint64_t> slots;  // 0: free; a power of two, at most half full
    std::size_t count = 0;
  };
  static std::uint64_t used(std::uint64_t hash) { return hash == 0 ? 1 : hash; }
  static bool holds(const Table& table, std::uint64_t hash) {
    if (table.slots.empty()) return false;
    const std::size_t mask = table.slots.size() - 1;
    std::size_t at = hash & mask;
    while (table.slots[at] != 0 && table.slots[at] != hash) at = (at + 1) & mask;
    return table.slots[at] == hash;
  }
  static void place(Table& table, std::uint64_t hash) {
    const std::size_t mask = table.slots.size() - 1;
    std::size_t at = hash & mask;
    while (table.slots[at] != 0) at = (at + 1) & mask;
    table.slots[at] = hash;
    ++table.count;
  }
  void grow() {
    Table larger;
    larger.slots.resize(newer_.slots.empty() ? 64 : 2 * newer_.slots.size());
    for (const std::uint64_t hash : newer_.slots) {
      if (hash != 0) place(larger, hash);
    }
    newer_ = std::move(larger);
  }

  std::size_t half_;
  Table newer_, older_;
};

}  // namespace nudge
