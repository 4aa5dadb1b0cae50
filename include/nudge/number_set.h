// A set of numbers that mostly follow one another (episodes that were evicted, say), kept as
// ranges: what it takes grows with the gaps, not with what it holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>

namespace nudge {

class NumberSet {
 public:
  // False: it was in the set already.
  bool insert(std::uint64_t number) {
    auto next = ranges_.upper_bound(number);
    if (next != ranges_.begin()) {
      const auto before = std::prev(next);
      if (number <= before->second) return false;
      if (number == before->second + 1) {
        before->second = number;
        if (next != ranges_.end() && next->first == number + 1) {
          before->second = next->second;
          ranges_.erase(next);
        }
        ++size_;
        return true;
      }
    }
    std::uint64_t last = number;
    if (next != ranges_.end() && next->first == number + 1) {
      last = next->second;
      next = ranges_.erase(next);
    }
    ranges_.emplace_hint(next, number, last);
    ++size_;
    return true;
  }

  bool contains(std::uint64_t number) const {
    const auto next = ranges_.upper_bound(number);
    return next != ranges_.begin() && number <= std::prev(next)->second;
  }

  std::uint64_t size() const { return size_; }           // numbers
  std::size_t ranges() const { return ranges_.size(); }  // what they are kept as

 private:
  std::map<std::uint64_t, std::uint64_t> ranges_;  // first to last, both in the set
  std::uint64_t size_ = 0;
};

}  // namespace nudge
