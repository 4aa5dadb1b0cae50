// The inference thread: features of each policy step for the log, and chunks for the step thread,
// with the newest weights that the gate has handed over. Never touches the robot. Chunks of a
// policy elsewhere come from the io thread, are edited, and go back at once: a tick would cost more
// than all of the rest.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "src/config/config.h"
#include "src/daemon/links.h"
#include "src/loop/asking_robot.h"
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
class InferenceThread final : public ChunkEditor {
 public:
  // Told about trouble, once each time it changes; from the inference thread.
  using Tell = std::function<void(const std::string&)>;

  // `asking`: where chunks of a policy elsewhere go back to; null: there are none.
  InferenceThread(std::unique_ptr<Inference> inference, Links& links, Tell tell,
                  const DoubtOptions& doubt = {}, AskingRobot* asking = nullptr);
  ~InferenceThread() override;
  void start();
  void stop();

  bool edits() const override { return links_.loaded != 0; }
  bool take(UpstreamChunk upstream) override;

 private:
  void run();
  void serve_upstream(InferenceRequest& request);
  Result<std::vector<float>> features_of(const InferenceRequest& request);
  void finish_steps(bool all);
  void finish_first_step();
  void finish_steps(const FinishedStep& through);
  Status edits_chunks_like(const ActionChunk& chunk) const;
  void serve(InferenceRequest& request, bool newest_chunk);
  void doubt();
  void trouble(const Status& status);
  void trouble_with_features(const Status& status);
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
  AskingRobot* asking_;
  // Steps that wait for their reference, in order; those behind them wait as well.
  struct Waiting {
    StepFeatures step;
    Observation observation;  // without pictures
    std::string instruction;
    ControlTick tick = 0;
    Instant came;
  };
  std::deque<Waiting> waiting_;
  bool waited_in_vain_ = false;  // nothing was offered since
  // Of the newest observation of a robot that asks: it is looked at once.
  struct Looked {
    Instant observed;
    std::string instruction;
    std::vector<float> features;
  };
  std::optional<Looked> looked_;
  std::string told_, told_of_reference_;
  EpisodeId episode_ = 0;  // of the last request
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace nudge
