// Sees all that is sent, answered and moved in a simulated world, and says which promise was
// broken. docs/reference/reliability.md has the promises in words.
#pragma once

#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "feedback/message.h"
#include "test/daemon/world/machine.h"

namespace nudge::test {

class Witness {
 public:
  explicit Witness(Timeline& time) : time_(time) {}

  // The first broken promise; empty: none.
  const std::string& broken() const { return broken_; }
  void broke(const std::string& promise) {
    if (!broken_.empty()) return;
    broken_ =
        std::to_string(Timeline::now().time_since_epoch().count() / 1'000'000) + " ms: " + promise;
  }

  // FNV-1a of all that happened: equal seeds have equal ones.
  std::uint64_t fingerprint() const { return fingerprint_; }
  void note(std::string_view what) {
    for (const char c : what) {
      fingerprint_ = (fingerprint_ ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    }
  }
  void note(std::int64_t number) { note(std::to_string(number) + " "); }

  struct Counts {
    std::uint64_t boots = 0, ticks = 0, moved = 0, human = 0, messages = 0, acknowledged = 0,
                  stops = 0, swaps = 0, rollbacks = 0, powers = 0, kills = 0;
  };
  Counts counts;

  // ---- what reaches the desk ----

  void delivered(const FeedbackMessage& message) {
    ++counts.messages;
    const Role role = message.actor.role;
    std::visit(
        [&](const auto& body) {
          using Body = std::decay_t<decltype(body)>;
          if constexpr (std::is_same_v<Body, JogCommand>) {
            if (body.dead_man) {
              jogs_[body.action] = {message.actor, body};
            } else {
              std::uint64_t& newest = let_go_[{message.actor.name, body.epoch}];
              newest = std::max(newest, body.sequence);
            }
          } else if constexpr (std::is_same_v<Body, Stop>) {
            stop_pressed_ = stop_holds_ = true;
            ++counts.stops;
          } else if constexpr (std::is_same_v<Body, ResetStop>) {
            if (role >= Role::kSupervisor) reset_stop_ = true;
          } else if constexpr (std::is_same_v<Body, ResetFault>) {
            if (role >= Role::kSupervisor) reset_fault_ = true;
          } else if constexpr (std::is_same_v<Body, HandBack>) {
            hand_back_ = true;
          } else if constexpr (std::is_same_v<Body, TakeoverRequest>) {
            take_over_ = true;
          }
        },
        message.body);
  }

  // ---- what the desk says ----

  void answered(const FeedbackMessage& message, const Ack& ack) {
    if (!ack.status.ok()) {
      // What left nothing in the log (a takeover by whoever drove already) is judged anew by a new
      // boot.
      if (answered_now_.contains(ack.id) || logged_.contains(ack.id)) {
        broke(ack.id +
              " was acknowledged, and refused when it was sent again: " + ack.status.message());
      }
      return;
    }
    ++counts.acknowledged;
    acknowledged_.emplace(ack.id, message);
    answered_now_.insert(ack.id);
    if (ack.epoch != 0) granted_.insert(ack.epoch);
    if (std::holds_alternative<Stop>(message.body)) stop_told_ = stop_holds_;
  }

  // Shown to people as having happened.
  void told(const Event& event, const Machine& machine) {
    if (event.sequence > machine.log->durable()) {
      broke("event " + std::to_string(event.sequence) + " was told before it was durable");
    }
    told_[event.sequence] = event.id;
  }

  // ---- what the robot does ----

  void ticked(const SimulatedArm& arm, const Machine& machine) {
    const Snapshot& now = machine.snapshot;
    ++counts.ticks;
    tick_times_[now.tick] = now.now;
    while (tick_times_.size() > 200) tick_times_.erase(tick_times_.begin());
    judge_transition(now);
    bool moves = false;
    if (arm.applied) {
      for (const float rate : *arm.applied) {
        if (!std::isfinite(rate)) broke("the robot got what is not finite");
        moves = moves || rate != 0;
      }
    }
    if (moves) judge_motion(now, machine.links.loaded);
    note(static_cast<std::int64_t>(now.tick));
    note(to_string(now.state));
    note(now.cause);
    if (moves) note(static_cast<std::int64_t>(1e6 * (*arm.applied)[0]));
    state_ = now.state;
    stop_pressed_ = reset_stop_ = reset_fault_ = hand_back_ = take_over_ = false;
    withdrawn_seen_ = withdrawn_;
  }

  // ---- what the gate does ----

  void withdrew(WeightsVersion version) {
    withdrawn_.insert(version);
    ++counts.rollbacks;
  }
  void fed(const std::vector<FeedItem>& items, Machine& machine) {
    for (const FeedItem& item : items) {
      const Sequence first = first_sequence(item);
      if (first != machine.fed + 1) {
        broke("the feed goes from " + std::to_string(machine.fed) + " to " + std::to_string(first));
      }
      machine.fed = last_sequence(item);
      if (machine.fed > machine.log->durable()) broke("the feed is ahead of the disk");
    }
  }

  // ---- restarts ----

  // The machine has booted: what was promised before is there.
  void booted(const Machine& machine) {
    ++counts.boots;
    std::map<std::string, const Event*> ids;
    std::map<Sequence, const Event*> sequences;
    LeaseEpoch epoch = 0;
    std::set<LeaseEpoch> epochs;
    for (const Event& event : machine.past) {
      if (!ids.emplace(event.id, &event).second) broke("the log has " + event.id + " twice");
      sequences[event.sequence] = &event;
      if (const auto* lease = std::get_if<LeaseGranted>(&event.payload)) {
        if (lease->epoch <= epoch) broke("a lease's epoch was given twice");
        epoch = lease->epoch;
        epochs.insert(epoch);
      }
    }
    for (const auto& [sequence, id] : told_) {
      const auto there = sequences.find(sequence);
      if (there == sequences.end() || there->second->id != id) {
        broke("event " + std::to_string(sequence) + " (" + id + ") was told and is gone");
      }
    }
    for (const auto& [id, message] : acknowledged_) {
      if (is_kept(message) && !ids.contains(id)) broke(id + " was acknowledged and is gone");
    }
    for (const LeaseEpoch given : granted_) {
      if (!epochs.contains(given)) broke("a lease was told and is gone");
    }
    answered_now_.clear();
    logged_.clear();
    for (const auto& [id, event] : ids) logged_.insert(id);
    const Snapshot& now = machine.snapshot;
    const AuthorityState wanted = machine.latched ? AuthorityState::kEstop : AuthorityState::kHold;
    if (now.state != wanted) broke("booted into " + std::string(to_string(now.state)));
    if (stop_told_ && !machine.latched) broke("a STOP that was acknowledged did not outlive it");
    if (!machine.latched) stop_holds_ = false;
    state_ = now.state;
    jogs_.clear();
    let_go_.clear();
    tick_times_.clear();
    stop_pressed_ = reset_stop_ = reset_fault_ = hand_back_ = take_over_ = false;
    note("boot ");
    note(static_cast<std::int64_t>(machine.past.size()));
  }

 private:
  struct Jog {
    Actor actor;
    JogCommand command;
  };

  // What leaves an event under the message's own id, always.
  static bool is_kept(const FeedbackMessage& message) {
    return std::holds_alternative<WordsMessage>(message.body) ||
           std::holds_alternative<LabelMessage>(message.body) ||
           std::holds_alternative<UndoLast>(message.body);
  }

  void judge_transition(const Snapshot& now) {
    using enum AuthorityState;
    const AuthorityState to = now.state;
    if (stop_pressed_ && to != kEstop && !reset_stop_) {
      broke("STOP was pressed, and the state is " + std::string(to_string(to)));
    }
    if (state_ == kEstop && to != kEstop) {
      if (!reset_stop_) broke("STOP was lifted by nobody");
      stop_holds_ = stop_told_ = false;
    }
    if (state_ == kFaultHold && to != kFaultHold && to != kEstop && !reset_fault_) {
      broke("a fault was reset by nobody");
    }
    if (to == state_) return;
    if (to == kHandback && !hand_back_) broke("HANDBACK without an act");
    if (to == kTakeover && !take_over_) broke("TAKEOVER without an act");
    if (to == kAuto && state_ != kHandback && !hand_back_) broke("AUTO without a hand-back");
    if (to == kHuman && state_ != kTakeover && !take_over_) broke("HUMAN without a takeover");
  }

  void judge_motion(const Snapshot& now, WeightsVersion loaded) {
    ++counts.moved;
    if (now.state == AuthorityState::kHuman) return judge_human(now);
    if (now.state != AuthorityState::kAuto) {
      return broke("the robot moves in " + std::string(to_string(now.state)));
    }
    if (now.source != ControlSource::kPolicy) return;
    // Its chunk may have been flushed since, for a new episode.
    const WeightsVersion version = now.playing != 0 ? now.playing : loaded;
    for (const float rate : now.requested) {
      const auto wanted = static_cast<float>(now.speed * rate_of(version));
      if (std::abs(rate - wanted) > 1e-5f) {
        broke("an action of version " + std::to_string(version) + " is not that version's");
      }
    }
    if (withdrawn_seen_.contains(version)) {
      broke("version " + std::to_string(version) + " acts after its rollback");
    }
  }

  void judge_human(const Snapshot& now) {
    ++counts.human;
    const auto found = jogs_.find(now.requested);
    if (found == jogs_.end()) return broke("the robot moves as nobody asked");
    const auto& [actor, command] = found->second;
    if (now.lease.holder != actor || command.epoch != now.lease.epoch) {
      return broke(actor.name + " moves the robot without the lease");
    }
    const auto seen = tick_times_.find(command.echoed_tick);
    if (seen == tick_times_.end() || now.now - seen->second > std::chrono::milliseconds(200)) {
      return broke("a stale command moves the robot");
    }
    const auto up = let_go_.find({actor.name, command.epoch});
    if (up != let_go_.end() && up->second > command.sequence) {
      broke("the robot moves after " + actor.name + " let go");
    }
  }

  Timeline& time_;
  std::string broken_;
  std::uint64_t fingerprint_ = 0xcbf29ce484222325u;

  std::map<Action, Jog> jogs_;  // of this boot, by their action: no two are equal
  std::map<std::pair<std::string, LeaseEpoch>, std::uint64_t> let_go_;
  std::map<std::string, FeedbackMessage> acknowledged_;
  std::set<std::string> answered_now_;  // of them, by this boot
  std::set<std::string> logged_;        // ids in the log when this boot began
  std::set<LeaseEpoch> granted_;
  std::map<Sequence, std::string> told_;
  std::map<ControlTick, Instant> tick_times_;
  std::set<WeightsVersion> withdrawn_, withdrawn_seen_;
  AuthorityState state_ = AuthorityState::kHold;
  // Since the last tick.
  bool stop_pressed_ = false, reset_stop_ = false, reset_fault_ = false, hand_back_ = false,
       take_over_ = false;
  bool stop_holds_ = false, stop_told_ = false;
};

}  // namespace nudge::test
