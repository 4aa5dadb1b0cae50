// An EventLoop that runs on a thread of its own, and a way to look at what lives there.
#pragma once

#include <future>
#include <thread>
#include <type_traits>
#include <utility>

#include "src/ports/event_loop.h"

namespace nudge::test {

class LoopThread {
 public:
  LoopThread() : thread_([this] { loop.run(); }) {}
  // What lives on the loop must be gone, or be destroyed by a last on_loop().
  ~LoopThread() {
    loop.stop();
    thread_.join();
  }

  template <typename Work>
  auto on_loop(Work&& work) {
    using Value = std::invoke_result_t<Work>;
    std::promise<Value> promise;
    std::future<Value> future = promise.get_future();
    loop.post([&] {
      if constexpr (std::is_void_v<Value>) {
        work();
        promise.set_value();
      } else {
        promise.set_value(work());
      }
    });
    return future.get();
  }

  EventLoop loop;

 private:
  std::thread thread_;
};

// Waits until `holds_true` is so, asked every millisecond.
template <typename Condition>
bool eventually(Condition&& holds_true,
                std::chrono::nanoseconds patience = std::chrono::seconds(10)) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!holds_true()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace nudge::test
