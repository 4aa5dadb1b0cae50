#include "src/loop/supervisor_seat.h"

#include "src/config/config.h"

namespace nudge {
namespace {

// A person presses again when nothing happens; so does the script.
constexpr Duration kAskAgain = std::chrono::milliseconds(500);

}  // namespace

SupervisorOptions supervisor_options(const Config& config) {
  SupervisorOptions options;
  options.stall = from_seconds(config.demo.stall_s);
  options.minimum_drive = from_seconds(config.demo.min_drive_s);
  options.drive_progress = config.demo.min_progress;
  options.time_limit_steps = static_cast<std::uint32_t>(config.robot.episode_steps);
  options.wrong_share = config.demo.wrong_share;
  options.wrong =
      config.demo.wrong == WrongCorrections::kRandom ? WrongHand::kRandom : WrongHand::kAdversarial;
  return options;
}

SupervisorSeat::SupervisorSeat(ScriptedSupervisor& supervisor, std::string robot, std::string name,
                               std::string session)
    : supervisor_(supervisor),
      robot_(std::move(robot)),
      actor_{.name = std::move(name), .role = Role::kScript},
      session_(std::move(session)) {}

void SupervisorSeat::begin_episode(std::uint64_t seed) {
  supervisor_.begin(seed);
  asked_ = {};
  label_ = LabelValue::kNone;
}

FeedbackMessage SupervisorSeat::message(FeedbackBody body) {
  return {
      .id = session_ + ":" + std::to_string(next_id_++), .actor = actor_, .body = std::move(body)};
}

bool SupervisorSeat::may_ask_again(Instant now) {
  if (asked_ != Instant{} && now - asked_ < kAskAgain) return false;
  asked_ = now;
  return true;
}

std::optional<FeedbackMessage> SupervisorSeat::label_late(EpisodeId episode, LabelValue value) {
  if (label_ != LabelValue::kNone) return std::nullopt;
  label_ = value;
  return message(LabelMessage{.episode = episode, .span = 0, .value = value});
}

std::vector<FeedbackMessage> SupervisorSeat::look(const Observation& observation,
                                                  const SeatView& view) {
  const AuthorityState state = view.state;
  const Instant now = view.now;
  const bool mine = view.holder == actor_;
  const bool driving = state == AuthorityState::kHuman && mine;
  const Supervision wish = supervisor_.step(observation, driving);

  std::vector<FeedbackMessage> messages;
  const auto jog = [&](Action action) {
    JogCommand command;
    command.robot = robot_;
    command.epoch = view.epoch;
    command.sequence = ++jog_sequence_;
    command.echoed_tick = view.tick;
    command.dead_man = true;
    command.action = std::move(action);
    messages.push_back({.id = "", .actor = actor_, .body = std::move(command)});
  };

  switch (wish.act) {
    case SupervisorAct::kNothing: asked_ = {}; break;
    case SupervisorAct::kTakeOver:
      if (mine && state == AuthorityState::kTakeover) {
        jog(Action(kKitchenActionSize, 0.0f));  // the thumb is on the glass: ready to drive
      } else if (may_ask_again(now)) {
        messages.push_back(message(TakeoverRequest{}));
      }
      break;
    case SupervisorAct::kJog:
      asked_ = {};
      jog(wish.jog);
      break;
    case SupervisorAct::kHandBack:
      if (may_ask_again(now)) messages.push_back(message(HandBack{}));
      // Until the hand-back has been decided the dead-man stays down, at rest.
      jog(Action(kKitchenActionSize, 0.0f));
      break;
    case SupervisorAct::kLabel:
      label_ = wish.label;
      messages.push_back(message(LabelMessage{.episode = 0, .span = 0, .value = wish.label}));
      break;
  }
  return messages;
}

}  // namespace nudge
