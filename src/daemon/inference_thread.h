// The inference thread: features of each policy step for the log, and chunks for the step thread,
// with the newest weights that the gate has handed over. Never touches the robot.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "src/daemon/links.h"
#include "src/loop/inference.h"

namespace nudge {

// start() and stop() belong to one thread.
class InferenceThread {
 public:
  // Told about trouble, once each time it changes; from the inference thread.
  using Tell = std::function<void(const std::string&)>;

  InferenceThread(std::unique_ptr<Inference> inference, Links& links, Tell tell);
  ~InferenceThread();
  void start();
  void stop();

 private:
  void run();
  void serve(InferenceRequest& request, bool newest_chunk);
  void trouble(const Status& status);

  std::unique_ptr<Inference> inference_;
  Links& links_;
  Tell tell_;
  std::string told_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace nudge
