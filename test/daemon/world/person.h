// Somebody with a tablet on a bad network: wants to drive, says things, labels, presses STOP, loses
// the link, and sends again what was not answered.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "feedback/message.h"
#include "src/daemon/snapshot.h"
#include "test/daemon/world/timeline.h"

namespace nudge::test {

class Person {
 public:
  using Send = std::function<void(FeedbackMessage)>;

  Person(Timeline& time, Actor actor) : time_(time), actor_(std::move(actor)) {}

  const Actor& actor() const { return actor_; }
  // Everything sent and not answered, by id.
  const std::map<std::string, FeedbackMessage>& unanswered() const { return unanswered_; }

  // ---- the link ----

  bool connected = false;
  int connection = 0;        // number of the present one
  Instant newest_arrival{};  // of what was sent over it: order is kept
  Instant back_at{};         // not before
  Duration slow{};           // queues on the way, at present

  void connects() {
    connected = true;
    ++connection;
    newest_arrival = time_.now();
    view_ = {};
    wants_ = Wants::kNothing;
    for (auto& [id, sent] : sent_at_) sent = Instant::min();
  }
  void sees(const Snapshot& snapshot) { view_ = snapshot; }
  void hears(const Ack& ack) {
    const auto found = unanswered_.find(ack.id);
    if (found == unanswered_.end()) return;
    const bool takeover = std::holds_alternative<TakeoverRequest>(found->second.body);
    if (takeover && ack.status.ok() && ack.epoch != 0 && wants_ == Wants::kTheLease) {
      wants_ = Wants::kToDrive;
      epoch_ = ack.epoch;
      sequence_ = 0;
    }
    unanswered_.erase(found);
    sent_at_.erase(ack.id);
  }

  // Twenty times a second. `quiet`: starts nothing new.
  void act(bool quiet, const Send& send) {
    if (!connected) return;
    for (auto& [id, message] : unanswered_) {
      Instant& at = sent_at_[id];
      if (at != Instant::min() && time_.now() - at < std::chrono::seconds(1)) continue;
      at = time_.now();
      send(message);
    }
    if (wants_ == Wants::kToDrive) drive(quiet, send);
    if (quiet || view_.tick == 0) return;
    const bool person = actor_.role >= Role::kSupervisor;
    const bool stands = view_.state == AuthorityState::kHold;
    if (time_.chance(0.003)) say(Stop{}, send);
    if (!person) return;
    if (view_.state == AuthorityState::kEstop && time_.chance(0.1)) say(ResetStop{}, send);
    if (view_.state == AuthorityState::kFaultHold && time_.chance(0.2)) say(ResetFault{}, send);
    if (stands && time_.chance(0.08)) say(HandBack{}, send);
    if (wants_ == Wants::kNothing && time_.chance(0.02)) {
      wants_ = Wants::kTheLease;
      wants_until_ = time_.now() + time_.between(500'000, 5'000'000);
      say(TakeoverRequest{}, send);
    }
    if (wants_ == Wants::kTheLease && time_.now() > wants_until_) wants_ = Wants::kNothing;
    if (time_.chance(0.02)) {
      say(WordsMessage{.text = time_.chance(0.2)   ? "stop"
                               : time_.chance(0.5) ? "left"
                                                   : "put it there",
                       .meant = WordsUse::kComment},
          send);
    }
    if (time_.chance(0.02)) {
      say(LabelMessage{.value = time_.chance(0.5) ? LabelValue::kSuccess : LabelValue::kFailure},
          send);
    }
    if (time_.chance(0.005)) say(UndoLast{.seconds = time_.random().uniform(0.1, 3)}, send);
    if (time_.chance(0.005)) say(Hold{}, send);
  }

 private:
  enum class Wants { kNothing, kTheLease, kToDrive };

  void say(FeedbackBody body, const Send& send) {
    const std::string name = actor_.name.substr(0, actor_.name.find('#'));
    FeedbackMessage message{
        .id = name + "-" + std::to_string(++said_), .actor = actor_, .body = std::move(body)};
    unanswered_[message.id] = message;
    sent_at_[message.id] = time_.now();
    send(std::move(message));
  }

  void drive(bool quiet, const Send& send) {
    const bool enough = quiet || time_.now() > wants_until_ || view_.lease.holder != actor_;
    // The lease shows in the view a moment after it was granted.
    if (enough && sequence_ > 10) {
      jog(false, send);
      if (time_.chance(0.7)) say(HandBack{}, send);
      if (time_.chance(0.5)) say(Release{}, send);
      wants_ = Wants::kNothing;
      return;
    }
    if (time_.chance(0.02)) {
      jog(false, send);
      if (time_.chance(0.5)) say(TakeoverRequest{}, send);  // pressed again
      return;
    }
    jog(true, send);
  }

  void jog(bool dead_man, const Send& send) {
    JogCommand command;
    command.robot = "arm";
    command.epoch = epoch_;
    command.sequence = ++sequence_;
    command.echoed_tick = view_.tick;
    command.dead_man = dead_man;
    command.action = {static_cast<float>(time_.random().uniform(0.1, 0.9)),
                      static_cast<float>(time_.random().uniform(-0.9, -0.1))};
    send({.id = "", .actor = actor_, .body = std::move(command)});
  }

  Timeline& time_;
  Actor actor_;
  Snapshot view_;
  Wants wants_ = Wants::kNothing;
  Instant wants_until_{};
  LeaseEpoch epoch_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t said_ = 0;
  std::map<std::string, FeedbackMessage> unanswered_;
  std::map<std::string, Instant> sent_at_;
};

}  // namespace nudge::test
