// A deployment in lockstep: the whole loop around the simulated kitchen. Robot, people, log,
// learner, gate, weights and probation, advanced one control tick at a time on one thread; only the
// learner is a process of its own.
//
// State folder: log/ (replay/log.h), weights/ (policy/weights_store.h), run/ (socket of the
// learner), config.toml (the settings in force), learner.log.
//
// Simulated time stands still while the learner trains; its candidate then arrives after exactly
// the wall time that took (see ARCHITECTURE.md).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "feedback/broker.h"
#include "replay/log.h"
#include "src/config/config.h"
#include "src/learning/learner_host.h"
#include "src/learning/rollout.h"
#include "src/learning/settings.h"
#include "src/learning/succession.h"
#include "src/loop/clock.h"
#include "src/loop/first_training.h"
#include "src/loop/hand_back_probe.h"
#include "src/loop/lockstep.h"
#include "src/loop/recorder.h"
#include "src/loop/supervisor_seat.h"
#include "src/sim/demonstrator.h"

namespace nudge {

struct DeploymentOptions {
  Config config;
  std::string state_folder;  // made when missing
  bool learn = true;         // false: no learner process, weights stay as they are
  std::string program;       // path of the program, to start the learner with; empty: somebody else
                             // starts it and connects it to run/learner
  FileSystem* files = &posix_files();           // of the log; outlives the deployment
  std::function<Instant()> clock = steady_now;  // what rounds and the gate are charged by
  // Told what happens, as it happens: episodes and new weights (kInfo), what a person should know
  // (kWarn), trouble (kError). `component` is the part that speaks: "gate", "log".
  std::function<void(LogLevel level, std::string_view component, const std::string& message)>
      notice;
};

struct EpisodeOutcome {
  EpisodeId episode = 0;
  bool success = false;
  LabelValue label = LabelValue::kNone;
  std::uint32_t policy_steps = 0;
  std::uint32_t human_steps = 0;
  std::uint32_t takeovers = 0, wrong_takeovers = 0;  // SupervisorOptions::wrong_share
  bool corrected = false;                            // at least one complete takeover span
  Duration length{};                                 // simulated
  WeightsVersion weights = 0;                        // live at the end
};

// Seconds from the last frame of a correction to the first action of weights that learned from it.
struct LearningDelays {
  std::vector<double> micro;
  std::vector<double> full;
};

struct DeploymentCounts {
  std::uint64_t rounds = 0, superseded = 0;
  std::uint64_t accepted = 0, rejected = 0, confirmed = 0, rolled_back = 0;  // of weights
  std::uint64_t learner_deaths = 0;
  std::uint64_t refused_messages = 0;  // of the supervisor
};

// Not thread-safe: one thread.
class Deployment final : private Companion {
 public:
  // Opens the log (recovering from a crash), replays it, boots the last confirmed weights. Without
  // any the robot holds. Errors of the parts; kUnavailable when another process has the log.
  static Result<std::unique_ptr<Deployment>> open(const DeploymentOptions& options);
  ~Deployment() override;

  // Records scripted demonstrations in a part of the region until `count` have gone well; others
  // are labelled failures. Only before the first episode.
  Status demonstrate(std::size_t count, std::uint64_t seed, const DemonstratorOptions& options);

  // As of first_training.h, on this log.
  Result<FirstWeights> train_from_scratch(Material material,
                                          const std::function<void(std::size_t)>& on_step);

  // Takes weights made outside the loop through the gate and, as the engineer's act, promotes them.
  // `base`: FirstWeights::base.
  Result<WeightsVersion> install(const std::vector<std::byte>& weights,
                                 const std::vector<std::byte>& base = {});

  // One episode with the scripted supervisor beside the robot, then the learning it gives rise to.
  Result<EpisodeOutcome> run_episode(std::uint64_t seed);

  // Waits in simulated standstill until no candidate is under way, so that what is evaluated is
  // what has been learned.
  Status settle();

  // The newest full version that may run: what an evaluation measures.
  Result<std::shared_ptr<const Weights>> newest_full_weights();

  // What micro-rounds brought until now, hand-back by hand-back.
  const std::vector<HandBackError>& hand_backs() const { return hand_backs_; }

  // An accepted version, ready to run; for measurements beside the deployment.
  Result<LoadedHead> load_head(WeightsVersion version) {
    return rollout_->load(version, history());
  }

  const WeightsHistory& history() const { return succession_.history(); }
  const LearningDelays& delays() const { return delays_; }
  DeploymentCounts counts() const;
  DatasetCounts dataset_counts() const { return succession_.dataset().counts(); }
  LogStats log_stats() const { return log_->stats(); }
  const RobotSpec& robot() const { return robot_->spec(); }
  const KitchenLevel& level() const { return robot_->level(); }
  // As given, with state.dir as the state folder: what an evaluation of its weights needs.
  const Config& config() const { return options_.config; }

 private:
  struct Parts;
  Deployment(const DeploymentOptions& options, Parts parts);

  // Companion
  Status before_tick(Instant now, ControlInputs& inputs) override;
  Status after_tick(Instant now, WallTime wall, const TickOutcome& outcome,
                    std::vector<float> features, std::vector<Image> images) override;
  Status on_chunk(WeightsVersion version, Duration latency, const Status& taken) override;

  Status boot();
  Status fold();  // what has become durable, into history and dataset
  Status commit_and_fold();
  Status make_room();
  Status learn_from_correction(Instant now);
  Status learn_from_episode(Instant now);
  Status learn(Instant now);
  Status take_arrivals(Instant now);
  Status adopt_staged(Instant now);
  void swap_in(LoadedHead head);
  Status played(WeightsVersion version, Instant now);
  Status heed_probation(Instant now);
  Status receive(const std::vector<FeedbackMessage>& messages);
  Status end_control();
  Moment moment(Instant now) const;
  SeatView seat_view(Instant now) const;
  SegmentSpec segment_spec() const;
  void tell(LogLevel level, std::string_view component, const std::string& message) const;

  DeploymentOptions options_;
  std::unique_ptr<KitchenRobot> robot_;
  std::unique_ptr<Controller> controller_;
  SwapSlot<LoadedHead> slot_;  // gate to inference
  std::unique_ptr<Inference> inference_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<Rollout> rollout_;
  std::unique_ptr<LearnerHost> host_;
  bool loose_told_ = false;  // that the learner is not confined
  PolicyShape shape_;
  Broker broker_;
  Recorder recorder_;
  Retention retention_;
  Succession succession_;
  ScriptedSupervisor supervisor_;
  SupervisorSeat seat_;
  HandBackProbe hand_back_probe_;
  // With demo.again: the scene as the takeover under way found it, and what shifts its objects.
  std::optional<KitchenLayout> taken_over_;
  Random shift_{0};
  Lockstep lockstep_;

  // This tick's input.
  std::vector<AuthorityAct> acts_;
  std::optional<SentJog> jog_;
  std::uint64_t stop_presses_ = 0;
  std::uint64_t next_act_ = 1;
  std::vector<std::string> waiting_ids_;  // to be acknowledged by the next commit
  bool commit_wanted_ = false;
  bool seen_ = false;      // the robot's state, in this episode
  bool recording_ = true;  // false: the disk takes nothing

  // Learning under way.
  struct Arrival {
    Instant at;
    CandidateMessage candidate;
  };
  std::deque<Arrival> arrivals_;
  bool learn_later_ = false;  // as soon as none is under way
  Instant staged_until_{};    // the gate's own time has passed then
  Instant correction_ended_{};
  bool micro_measured_ = true;  // nothing to measure yet
  bool full_measured_ = true;
  LearningDelays delays_;
  std::vector<HandBackError> hand_backs_;
  DeploymentCounts counts_;
  EpisodeOutcome outcome_;
};

}  // namespace nudge
