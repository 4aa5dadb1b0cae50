// The gate thread: which weights run. Folds what is durable, judges the learner's candidates,
// watches probation, carries out what engineers decide. Owns the weights folder and the signing
// key; never runs the robot.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "src/daemon/links.h"
#include "src/learning/rollout.h"
#include "src/learning/succession.h"

namespace nudge {

// start() and stop() belong to one thread.
class GateThread {
 public:
  using Tell = std::function<void(LogLevel, std::string_view component, const std::string&)>;

  // `links` outlives it. `succession` records through the functions below.
  GateThread(std::unique_ptr<Rollout> rollout, Links& links, WallTime (*wall)(), Tell tell);
  ~GateThread();

  // Before start(): the log so far is folded here, and the confirmed weights are handed over.
  // `next`: the log's next version, which may lie behind all that it knows of.
  void set_succession(std::unique_ptr<Succession> succession, WeightsVersion next);
  Succession::Record record();  // sends to the writer
  Rollout& rollout() { return *rollout_; }
  void hand_over(LoadedHead head);

  void start();
  void stop();

 private:
  void run();
  void take(GateItem& item);
  void fold();
  void take(const TickNews& news);
  void act(const WeightsAct& act);
  void check(const Status& status);

  std::unique_ptr<Rollout> rollout_;
  Links& links_;
  WallTime (*wall_)();
  Tell tell_;
  std::unique_ptr<Succession> succession_;
  WeightsVersion next_ = 1;  // at the start
  std::vector<GateItem> items_;
  std::deque<FeedItem> unfolded_;      // memory or disk were short
  std::deque<GateAnswer> unanswered_;  // the io thread is behind
  std::deque<RecordWanted> untold_;    // the writer's queue was full
  bool probes_stale_ = true;
  bool counts_stale_ = true;
  std::string trouble_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace nudge
