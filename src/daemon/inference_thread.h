// The inference thread: features of each policy step for the log, and chunks for the step thread,
// with the newest weights that the gate has handed over. Never touches the robot.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "src/config/config.h"
#include "src/daemon/links.h"
#include "src/loop/inference.h"

namespace nudge {

// How often chunks are sampled again to see whether the policy is sure of them; 0: never.
struct DoubtOptions {
  std::size_t samples = 0;  // as in Inference::disagreement()
  std::size_t rows = 0;
};

// As configured; nothing while the policy may not ask for help.
DoubtOptions doubt_options(const Config& config);

// start() and stop() belong to one thread.
class InferenceThread {
 public:
  // Told about trouble, once each time it changes; from the inference thread.
  using Tell = std::function<void(const std::string&)>;

  InferenceThread(std::unique_ptr<Inference> inference, Links& links, Tell tell,
                  const DoubtOptions& doubt = {});
  ~InferenceThread();
  void start();
  void stop();

 private:
  void run();
  void serve(InferenceRequest& request, bool newest_chunk);
  void doubt();
  void trouble(const Status& status);
  void trouble_with_reference(const Status& status);

  std::unique_ptr<Inference> inference_;
  Links& links_;
  Tell tell_;
  DoubtOptions doubt_;
  // The chunk that was handed over last, until its samples have been compared.
  struct Doubtful {
    std::vector<float> features, proprioception;
    Instant observed;
    std::vector<float> reference;
  };
  std::optional<Doubtful> doubtful_;
  std::string told_, told_of_reference_;
  EpisodeId episode_ = 0;  // of the last request
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace nudge
