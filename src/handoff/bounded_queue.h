// Hands values from any number of threads to one, in order, and never grows beyond its bound: for
// what must not be lost (feedback, acts of the lease) the sender keeps what was refused and slows
// its source; for what may be lost (autonomous steps) it counts.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

#include "nudge/time.h"

namespace nudge {

// Thread-safe. The lock is held for a move only, so try_push() may run on the step thread.
template <typename T>
class BoundedQueue {
 public:
  // `reserved` places of the `capacity` are kept for push_reserved(): what a person did must find
  // room when the rest is full. reserved < capacity.
  explicit BoundedQueue(std::size_t capacity, std::size_t reserved = 0)
      : capacity_(capacity), reserved_(reserved) {}

  // False: full, or closed; `value` is untouched. Never waits for room.
  bool try_push(T&& value) { return push_below(capacity_ - reserved_, std::move(value)); }
  // The same with the reserved places.
  bool push_reserved(T&& value) { return push_below(capacity_, std::move(value)); }

  // Takes everything that is there into `out` (cleared first), oldest first; waits up to `patience`
  // for the first. False: nothing came, or it is closed and empty.
  bool take_all(std::vector<T>& out, Duration patience) {
    out.clear();
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [this] { return !values_.empty() || closed_; });
    for (T& value : values_) out.push_back(std::move(value));
    values_.clear();
    return !out.empty();
  }

  // The same without waiting, for the step thread: false also when a sender is just inside.
  bool try_take_all(std::vector<T>& out) {
    out.clear();
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return false;
    for (T& value : values_) out.push_back(std::move(value));
    values_.clear();
    return !out.empty();
  }

  // No more is taken in; what is there can still be taken out. Wakes whoever waits.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
  }
  bool closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
  }

  std::uint64_t refused() const {  // pushes that found it full, since the beginning
    const std::lock_guard lock(mutex_);
    return refused_;
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return values_.size();
  }

 private:
  bool push_below(std::size_t bound, T&& value) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return false;
      if (values_.size() >= bound) {
        ++refused_;
        return false;
      }
      values_.push_back(std::move(value));
    }
    changed_.notify_one();
    return true;
  }

  const std::size_t capacity_;
  const std::size_t reserved_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> values_;
  bool closed_ = false;
  std::uint64_t refused_ = 0;
};

}  // namespace nudge
