// Drives an Authority by hand: a fake clock, a point for a robot, and the usual people.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "feedback/authority.h"

namespace nudge {

inline const Actor kAnna{"anna", Role::kSupervisor};
inline const Actor kBen{"ben", Role::kSupervisor};
inline const Actor kEva{"eva", Role::kEngineer};
inline const Actor kViewerVic{"vic", Role::kViewer};
inline const Actor kProgram{"program", Role::kScript};
inline constexpr Duration kPeriod = std::chrono::milliseconds(20);
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

inline ActionSpec four_channels() {
  return {{{"tool_x", "m/s", -0.25f, 0.25f},
           {"tool_y", "m/s", -0.25f, 0.25f},
           {"tool_z", "m/s", -0.25f, 0.25f},
           {"gripper", "1/s", -2.0f, 2.0f}}};
}

inline AuthorityConfig usual_config() {
  AuthorityConfig config;
  config.robot = "kitchen-1";
  config.control_period = kPeriod;
  return config;
}

class Rig {
 public:
  explicit Rig(AuthorityConfig config = usual_config(), AuthorityBoot boot = {},
               LimitsConfig limits = {})
      : authority(*Authority::make(config, *Limits::make(limits, four_channels(), kPeriod), boot)) {
  }

  // One control tick: hands over what has been prepared, then forgets it.
  const Decision& step() {
    in.tick = ++tick;
    in.now = now;
    in.observed = now - observed_age;
    in.position = position;
    in.acts = acts;
    in.jog = jogged ? &sent : nullptr;
    in.proposed = proposing ? &proposal : nullptr;
    in.proposed_from = proposed_from.value_or(now);
    decision = &authority.tick(in);
    transitions.clear();
    for (const AuthorityRecord& record : decision->records) {
      if (const auto* changed = std::get_if<AuthorityChanged>(&record.payload)) {
        transitions.push_back(*changed);
        if (on_transition) on_transition(*changed);
      }
    }
    acts.clear();
    jogged = false;
    now += kPeriod;
    return *decision;
  }
  const Decision& steps(int count) {
    for (int i = 0; i < count; ++i) step();
    return *decision;
  }

  template <typename Body>
  void act(const Actor& who, Body body, std::string id = {}) {
    acts.push_back({std::move(id), who, std::move(body)});
  }
  // A well-formed command of the lease in force, echoing the newest issued tick.
  JogCommand& jog(const Actor& who, Action action = {0.5f, 0, 0, 0},
                  std::vector<float> leader = {}) {
    sent.actor = who;
    sent.command = {.robot = "kitchen-1",
                    .epoch = authority.lease().epoch,
                    .sequence = ++sequence,
                    .echoed_tick = tick,
                    .dead_man = true,
                    .action = std::move(action),
                    .leader = std::move(leader)};
    jogged = true;
    return sent.command;
  }

  // Brings a new machine into a state; anna holds the lease in TAKEOVER and HUMAN.
  void reach(AuthorityState wanted) {
    proposing = true;
    step();
    switch (wanted) {
      case AuthorityState::kHold: break;
      case AuthorityState::kTakeover:
        act(kAnna, TakeoverRequest{});
        step();
        break;
      case AuthorityState::kHuman: reach_human(kAnna); break;
      case AuthorityState::kHandback:
        proposing = false;
        act(kAnna, HandBack{});
        step();
        break;
      case AuthorityState::kAuto:
        act(kAnna, HandBack{});
        steps(2);
        break;
      case AuthorityState::kFaultHold:
        in.robot_finite = false;
        step();
        in.robot_finite = true;
        break;
      case AuthorityState::kEstop:
        act(kAnna, Stop{});
        step();
        break;
    }
    ASSERT_EQ(authority.state(), wanted) << to_string(authority.state());
  }
  void reach_human(const Actor& who) {
    act(who, TakeoverRequest{});
    step();
    for (int i = 0; i < 12 && authority.state() != AuthorityState::kHuman; ++i) {
      jog(who);
      step();
    }
    ASSERT_EQ(authority.state(), AuthorityState::kHuman);
  }

  AuthorityState state() const { return authority.state(); }
  std::string cause() const { return transitions.empty() ? "" : transitions.back().cause; }
  std::uint64_t refused(CommandRefusal why) const {
    return authority.refused_commands()[static_cast<std::size_t>(why)];
  }
  template <typename Record>
  const AuthorityRecord* find() const {
    for (const AuthorityRecord& record : decision->records) {
      if (std::holds_alternative<Record>(record.payload)) return &record;
    }
    return nullptr;
  }

  Authority authority;
  TickInputs in;
  Instant now{std::chrono::hours(1)};
  ControlTick tick = 0;
  Duration observed_age{};
  std::vector<float> position{0, 0, 0};
  std::vector<AuthorityAct> acts;
  SentJog sent;
  bool jogged = false;
  std::uint64_t sequence = 0;
  bool proposing = false;
  Action proposal{0.2f, 0, 0, 0};
  std::optional<Instant> proposed_from;
  const Decision* decision = nullptr;
  std::vector<AuthorityChanged> transitions;  // of the newest tick
  std::function<void(const AuthorityChanged&)> on_transition;
};

}  // namespace nudge
