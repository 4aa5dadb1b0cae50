// The place where a scripted supervisor sits: turns what it wants into the messages that any
// supervisor would send, and sends them through the broker. It has no other way to the robot.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "feedback/broker.h"
#include "src/loop/controller.h"
#include "src/loop/recorder.h"
#include "src/sim/scripted_supervisor.h"

namespace nudge {

struct Config;

// Of [demo]; the time limit is that of an episode.
SupervisorOptions supervisor_options(const Config& config);

// What can be seen of the robot's control from a seat, here or across a socket.
struct SeatView {
  AuthorityState state = AuthorityState::kHold;
  std::optional<Actor> holder;  // of the lease
  LeaseEpoch epoch = 0;         // of the newest grant
  ControlTick tick = 0;         // newest that was seen
  Instant now;                  // of the seat's own steady clock
};

// Not thread-safe: one thread at a time.
class SupervisorSeat {
 public:
  // `name` is the actor's; its role is kScript. `session` makes message ids unique over restarts.
  SupervisorSeat(ScriptedSupervisor& supervisor, std::string robot, std::string name,
                 std::string session);

  void begin_episode(std::uint64_t seed);

  // What the supervisor sends at this control tick; empty most of the time.
  std::vector<FeedbackMessage> look(const Observation& observation, const SeatView& view);

  // A label for an episode that has ended meanwhile. Nothing when one was given in time.
  std::optional<FeedbackMessage> label_late(EpisodeId episode, LabelValue value);

  LabelValue label() const { return label_; }  // given in this episode; kNone: none yet
  const ScriptedSupervisor& supervisor() const { return supervisor_; }

 private:
  FeedbackMessage message(FeedbackBody body);
  bool may_ask_again(Instant now);

  ScriptedSupervisor& supervisor_;
  std::string robot_;
  Actor actor_;
  std::string session_;
  std::uint64_t next_id_ = 1;
  std::uint64_t jog_sequence_ = 0;
  Instant asked_{};
  LabelValue label_ = LabelValue::kNone;
};

}  // namespace nudge
