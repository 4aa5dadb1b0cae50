// The step thread's work, one control tick at a time: observe, ask the authority, move, and cut
// what happened into policy steps. No disk, no inference, no clock of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "feedback/authority.h"
#include "nudge/event.h"
#include "nudge/robot.h"
#include "policy/chunk_player.h"

namespace nudge {

struct ControllerOptions {
  AuthorityConfig authority;
  LimitsConfig limits;
  ChunkPlayerOptions player;
  AuthorityBoot boot;
  std::vector<std::string> cameras = {};  // that matter: frozen ones keep the policy from driving
  // A camera that matters and has shown the same picture, byte for byte, for longer is frozen too,
  // however new its frames say they are: no sensor is without noise. 0: pictures are not compared,
  // as for simulated cameras. Else at least authority.camera_fresh.
  Duration camera_same{};
  // Nobody knows what the robot did of what it was told: steps have no executed action.
  bool executed_unknown = false;
};

// Nobody drives, and nobody is about to: HOLD, FAULT_HOLD or ESTOP.
bool stands(AuthorityState state);

// Every number of proprioception and object state is finite.
bool is_finite(const Observation& observation);

// What reached the step thread since the last tick.
struct ControlInputs {
  std::span<const AuthorityAct> acts;  // oldest first
  const SentJog* jog = nullptr;        // newest; null: none
  std::uint64_t stop_presses = 0;      // since boot
  bool weights_failed = false;         // see TickInputs
  bool resetting = false;              // likewise
  std::string_view reset_failed = {};  // likewise
  std::string_view no_takeover = {};   // likewise
  // The robot's steady clock, where it runs on during a tick: a state that was read after `now`,
  // because the thread was held up in between, is not from the future. Null: time stands still.
  Instant (*clock)() = nullptr;
};

struct TickOutcome {
  const Decision* decision = nullptr;  // valid until the next tick
  std::optional<Step> finished;  // the policy step that ended with this tick, without features,
                                 // images and span
  bool step_begun = false;       // observation() is the first of a new policy step
  WeightsVersion played = 0;     // whose action the robot got; 0: not the policy's
  std::string_view frozen;       // name of a camera that matters and has frozen; empty: none. Valid
                                 // as long as the controller
  Status robot;                  // of observe() and apply(); the authority has dealt with it
};

// Not thread-safe: belongs to the step thread. A change of control ends the policy step early, so
// that every step has exactly one source, and a nudged one exactly one reason.
class Controller {
 public:
  // `robot` must outlive the controller. kInvalidArgument from the parts' own checks, or a
  // camera_same out of its range.
  static Result<std::unique_ptr<Controller>> make(Robot& robot, const ControllerOptions& options);

  // The next tick belongs to a new episode: policy steps count from 0 and the chunk is flushed.
  // A step under way is thrown away.
  void begin_episode(EpisodeId episode, Instant now);

  // One control tick: `now` is the robot's steady clock, `wall` goes into the step.
  TickOutcome tick(Instant now, WallTime wall, const ControlInputs& inputs);

  // The episode is over, and what words asked of it: see Authority.
  void forget_words() { authority_.forget_words(); }

  // The step under way ends now, as at the end of an episode. Nothing: none has begun.
  std::optional<Step> finish_step();

  const Observation& observation() const { return observation_; }  // newest
  std::uint32_t policy_step() const { return policy_step_; }       // of the step under way
  ControlTick control_tick() const { return tick_; }
  ChunkPlayer& player() { return player_; }
  const Authority& authority() const { return authority_; }

 private:
  Controller(Robot& robot, const ControllerOptions& options, Authority authority);
  bool step_is_over(Instant now, const Decision& decision) const;
  void begin_step(Instant now, WallTime wall, const Decision& decision);
  void add_to_step(const Decision& decision);

  // The step under way: sums over its ticks.
  struct OpenStep {
    Step step;
    Instant begun;
    std::string nudge;  // Decision::nudge of all its ticks
    std::uint32_t ticks = 0;
    std::uint32_t requested_ticks = 0;
    std::vector<double> requested, executed;
  };

  // A camera that matters.
  struct Watched {
    std::string name;
    Instant captured = Instant::min();  // as its newest frame says
    Instant newest = Instant::min();    // the same, but not from the future; since when its picture
                                        // has not changed, where that is too long
    Instant same_since = Instant::min();  // the first frame with the newest one's picture
    Image picture;                        // the newest frame of the tick before; empty unless
                                          // pictures are compared
  };
  void keep_pictures();  // of the observation that is about to be replaced
  void watch_cameras(Instant now);

  Robot& robot_;
  Authority authority_;
  Duration camera_fresh_;
  Duration camera_same_;
  bool executed_unknown_;
  std::vector<Watched> cameras_;
  ChunkPlayer player_;
  Observation observation_;
  bool observed_ = false;                         // at least once since boot
  AuthorityState state_ = AuthorityState::kHold;  // of the tick before
  bool estopped_ = false;  // the robot was told to refuse motion, and not yet to allow it
  EpisodeId episode_ = 0;
  ControlTick tick_ = 0;
  std::uint32_t policy_step_ = 0;
  Action proposed_;  // reused
  std::optional<OpenStep> open_;
};

}  // namespace nudge
