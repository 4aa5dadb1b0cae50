// The place where a scripted supervisor sits: turns what it wants into the messages that any
// supervisor would send, and sends them through the broker. It has no other way to the robot.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "feedback/broker.h"
#include "src/loop/controller.h"
#include "src/loop/recorder.h"
#include "src/sim/scripted_supervisor.h"

namespace nudge {

// Not thread-safe: one thread at a time.
class SupervisorSeat {
 public:
  // `name` is the actor's; its role is kScript. `session` makes message ids unique over restarts.
  SupervisorSeat(ScriptedSupervisor& supervisor, std::string robot, std::string name,
                 std::string session);

  void begin_episode(std::uint64_t seed);

  // What the supervisor sends at this control tick; empty most of the time.
  std::vector<FeedbackMessage> look(const Observation& observation, const Authority& authority,
                                    ControlTick tick, Instant now);

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
