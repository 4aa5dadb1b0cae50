// The archive thread: reads what people ask for of past episodes. Neither the io thread nor the
// writer ever waits for it; it only opens segments, and reads no further than what is durable.
#pragma once

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "src/daemon/links.h"
#include "src/ports/episode_reader.h"

namespace nudge {

// start() and stop() belong to one thread.
class ArchiveThread {
 public:
  // Wakes the io thread: there are answers. Any thread.
  using Wake = std::function<void()>;

  // `files` and `links` outlive it.
  ArchiveThread(FileSystem& files, Duration policy_period, Links& links, Wake wake);
  ~ArchiveThread();
  void start();
  // What is still asked for gets no answer.
  void stop();

 private:
  void run();

  EpisodeReader reader_;
  Links& links_;
  Wake wake_;
  std::vector<ArchiveRequest> requests_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace nudge
