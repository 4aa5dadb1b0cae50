// Hands the newest value from one thread to another; what nobody took is overwritten.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "nudge/time.h"

namespace nudge {

// For values where only the newest counts: observations, chunks. One writer, one reader. The lock
// is held for a move only; try_take() may run on the step thread.
template <typename T>
class Latest {
 public:
  void put(T value) {
    {
      const std::lock_guard lock(mutex_);
      value_ = std::move(value);
    }
    changed_.notify_one();
  }

  // Nothing when nothing new is there, or when the writer is just inside. Never waits.
  std::optional<T> try_take() {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock()) return std::nullopt;
    return std::exchange(value_, std::nullopt);
  }

  // Waits up to `patience` for a value. Not for the step thread.
  std::optional<T> take(Duration patience) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [this] { return value_.has_value(); });
    return std::exchange(value_, std::nullopt);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<T> value_;
};

}  // namespace nudge
