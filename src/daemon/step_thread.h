// The step thread: one control tick after the other against the real clock, and the boundaries of
// episodes. Never touches the disk, never waits for a lock or for inference.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "policy/help_signal.h"
#include "src/daemon/links.h"
#include "src/loop/asking_robot.h"
#include "src/loop/controller.h"

namespace nudge {

struct StepThreadOptions {
  Instant (*clock)() = nullptr;  // the robot's steady clock
  WallTime (*wall)() = nullptr;
  std::string instruction;            // in force at the start; a robot may say its own
  EpisodeId next_episode = 1;         // numbers go on from here
  std::uint64_t seed = 0;             // of the robot's resets, with the episode's number
  std::uint32_t episode_steps = 100;  // driven by the policy, after which an episode ends by time
  // The next episode follows by itself while somebody drives, as in a simulation that resets its
  // scene. False: the robot holds at the end of each, until people have made the scene ready.
  bool continuous = true;
  // An episode in which the robot has stood still for this long is over; the next start is a new
  // one.
  Duration abandon = std::chrono::seconds(60);
  int fifo_priority = 0;                       // SCHED_FIFO; 0: the ordinary scheduler
  std::optional<HelpSignalOptions> help = {};  // none: the policy never asks for help
  AskingRobot* asking = nullptr;  // the robot, where it is one that asks; null: it is not
};

// start() and stop() belong to one thread; everything else to the thread it starts.
class StepThread {
 public:
  // `robot` and `links` must outlive it.
  StepThread(Robot& robot, std::unique_ptr<Controller> controller, Links& links,
             StepThreadOptions options);
  ~StepThread();

  // kPermissionDenied: the priority was refused by the system; the thread runs all the same.
  Status start();
  void stop();  // the robot holds, and the episode is over

  // One tick at `now`, as the thread does it; for tests with a clock of their own. `due` is when it
  // should have begun.
  void tick(Instant now, Instant due);

 private:
  void run();
  void begin_episode(Instant now, StepReport& report);
  void end_episode(Instant now, EpisodeEnd reason);
  void ask_about_reset();
  void heed_asking_robot(Instant now);
  void tell_asking_robot(Instant now, const Decision& decision);
  Instant scene_since(Instant now) const;
  std::optional<EpisodeEnd> episode_is_over(Instant now, const Decision& decision);
  void ask_inference(Instant now, const TickOutcome& outcome);
  void count(Instant now, const TickOutcome& outcome);
  void watch_for_help(Instant now, const TickOutcome& outcome, StepReport& report);
  void report(StepReport report);
  void ask_for_needed_steps();
  void publish(Instant now, const TickOutcome& outcome);
  Moment moment(Instant now) const;

  Robot& robot_;
  std::unique_ptr<Controller> controller_;
  Links& links_;
  StepThreadOptions options_;
  std::atomic<bool> stop_{false};
  std::thread thread_;

  std::vector<AuthorityAct> acts_;
  std::optional<SentJog> jog_;
  std::deque<StepReport> backlog_;  // refused by a full queue, without their steps
  std::uint32_t lost_first_ = 0, lost_ = 0;
  bool lost_human_ = false;

  EpisodeId episode_ = 0;  // 0: none runs
  Instant episode_begun_{};
  Instant moved_{};  // newest tick that was not standing still
  bool last_success_ = false;
  Instant driving_since_ = Instant::min();
  std::uint32_t autonomous_ = 0, takeovers_ = 0, steps_ = 0;
  Duration human_{};
  bool hold_at_next_tick_ = false;
  // The robot resets for the episode that runs, or has done so and not been seen since: no policy
  // step has begun.
  bool reset_pending_ = false;
  bool resetting_ = false;     // the robot says so, as of this tick
  Instant reset_seen_{};       // newest tick of that
  std::string reset_failed_;   // since the last tick: why; empty: no
  std::string reset_trouble_;  // of the newest reset; empty: none
  AskingNews asking_;          // as of this tick; empty where the robot does not ask
  Instant asked_about_{};      // time of the observation that its newest chunk is for

  std::optional<HelpSignal> help_;
  std::uint64_t help_asks_ = 0, declined_seen_ = 0;

  bool asked_ = false;  // a chunk is being computed
  Instant asked_at_{};
  std::uint64_t flushes_seen_ = 0;
  WeightsVersion failed_weights_ = 0;  // proposed what is not finite, and waits to be rolled back
  // A robot's that asks: newest that has ended, and what acts wait for until inference is told.
  std::optional<FinishedStep> finished_, needed_;
  AuthorityState state_ = AuthorityState::kHold;
  std::string cause_ = "boot", fault_, robot_trouble_;
  Instant newest_frame_{};
  std::uint64_t missed_ = 0, lost_total_ = 0;
  DurationHistogram work_, late_;
};

}  // namespace nudge
