#include "feedback/broker.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "nudge/utf8.h"

namespace nudge {
namespace {

constexpr std::size_t kLongestId = 64;
constexpr std::size_t kLongestWords = 1000;
constexpr std::size_t kMostSpoken = 256;
constexpr double kLongestUndo = 600;  // seconds; longer than any episode a person remembers

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;  // Clang 14 cannot work this out by itself

bool valid_id(std::string_view id) {
  return !id.empty() && id.size() <= kLongestId && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == ':' || c == '-';
  });
}

// Spoken sentences have no control characters; a newline from a text field is fine.
bool printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
  });
}

bool only_spaces(std::string_view text) {
  return text.find_first_not_of(" \t\n") == std::string_view::npos;
}

bool is_stop(std::string_view text) {
  std::string word;
  for (const char c : text) {
    if (c >= 'A' && c <= 'Z') {
      word.push_back(static_cast<char>(c - 'A' + 'a'));
    } else if (c != ' ' && c != '\t' && c != '\n' && c != '!' && c != '.' && c != ',') {
      word.push_back(c);
    }
    if (word.size() > 8) return false;
  }
  return word == "stop" || word == "stopstop";
}

bool is_viewer(const Actor& actor) { return actor.role == Role::kViewer; }

Status viewers_only_look() {
  return permission_denied(
      "a viewer may look, say stop and press STOP; ask an engineer for the supervisor's role");
}

Status no_room() {
  return resource_exhausted("too many messages wait to be stored; send it again in a moment");
}

// Why words would move nothing now; empty: nothing is known against it. The authority decides.
std::string why_not_now(const Situation& situation, const Actor& actor) {
  if (actor.role == Role::kScript) return "only a person's words move the robot";
  const std::string holder = situation.lease.holder ? situation.lease.holder->name : "";
  switch (situation.state) {
    case AuthorityState::kAuto: break;
    case AuthorityState::kHold: return "the robot holds; nudges bend the policy while it drives";
    case AuthorityState::kTakeover:
    case AuthorityState::kHuman: return holder.empty() ? "a person drives" : holder + " drives";
    case AuthorityState::kHandback: return "the policy does not drive yet";
    case AuthorityState::kFaultHold: return "a fault holds the robot";
    case AuthorityState::kEstop: return "STOP holds the robot";
  }
  if (!holder.empty() && holder != actor.name) return holder + " has the lease";
  if (situation.resetting) return "the robot resets its scene; say it again then";
  return {};
}

std::string echo_of(const WordsAck& words) {
  const bool plain = words.use == WordsUse::kInstruction || words.use == WordsUse::kComment ||
                     words.use == WordsUse::kNotUnderstood;
  std::string echo = (plain ? "" : "understood as: ") + words.as;
  if (words.confirm) return echo + "? Confirm it, and it is done";
  if (!words.acted && !words.why.empty()) echo += " (stored only: " + words.why + ")";
  return echo;
}

Ack refusal(std::string id, Status why) {
  return {.id = std::move(id), .status = std::move(why), .echo = {}, .epoch = 0, .holder = {}};
}

}  // namespace

Understood understand_only_stop(const WordsMessage& words) {
  if (is_stop(words.text)) return {WordsUse::kHold, "stop: hold still", Hold{}};
  const bool instruction = words.meant == WordsUse::kInstruction;
  return {words.meant, (instruction ? "instruction: " : "comment: ") + words.text,
          std::monostate{}};
}

Status BrokerConfig::validate() const {
  if (robot.empty() || robot.size() > kLongestId) {
    return invalid_argument("broker: robot must be a name of 1 to 64 bytes");
  }
  if (action_size == 0 || action_size > 64) {
    return invalid_argument("broker: action_size must be 1 to 64");
  }
  if (policy_period <= Duration::zero()) {
    return invalid_argument("broker: policy_period must be above 0");
  }
  if (confirm_within <= Duration::zero() || go_back_within <= Duration::zero()) {
    return invalid_argument("broker: confirm_within and go_back_within must be above 0");
  }
  if (remembered_ids < 16) return invalid_argument("broker: remembered_ids must be at least 16");
  return {};
}

Result<Broker> Broker::make(const BrokerConfig& config, Known known, Understand understand) {
  NUDGE_TRY(config.validate());
  if (!known || !understand) {
    return invalid_argument("broker: both functions, `known` and `understand`, must be given");
  }
  return Broker(config, std::move(known), std::move(understand));
}

Broker::Broker(const BrokerConfig& config, Known known, Understand understand)
    : config_(config), known_(std::move(known)), understand_(std::move(understand)) {}

Handled Broker::handle(const FeedbackMessage& message, const Situation& situation) {
  Handled out;
  if (const auto* jog = std::get_if<JogCommand>(&message.body)) {
    take_jog(message.actor, *jog, situation, out);
    return out;
  }
  if (std::holds_alternative<Stop>(message.body)) {
    take_stop(message, out);
    return out;
  }
  if (!valid_id(message.id)) {
    // An id that breaks the rules is not echoed: it may be a megabyte of anything.
    out.ack = refusal(
        {}, invalid_argument("a message's id must be 1 to 64 of A-Z a-z 0-9 _ . : - and unique"));
    return out;
  }
  if (message.actor.name.empty() || message.actor.name.size() > kLongestId) {
    out.ack = refusal(message.id, invalid_argument("an actor's name must be 1 to 64 bytes"));
    return out;
  }
  if (repeated(message, out)) return out;
  if (!make_room()) {
    out.ack = refusal(message.id, no_room());
    const auto* words = std::get_if<WordsMessage>(&message.body);
    const bool said =
        words != nullptr && words->text.size() <= kLongestWords &&
        (is_stop(words->text) || std::holds_alternative<Hold>(understand_(*words).motion));
    if (std::holds_alternative<Hold>(message.body) || said) {
      out.act = AuthorityAct{.id = {}, .actor = message.actor, .body = Hold{}};
    }
    return out;
  }

  Verdict verdict;
  Status status = judge(message, situation, out, verdict);
  Remembered& entry = remember(message.id, message);
  if (!status.ok()) {
    entry.answered = true;
    entry.ack.status = std::move(status);
    out = {};
    out.ack = entry.ack;
  } else {
    entry.ack.echo = verdict.words ? echo_of(*verdict.words) : std::move(verdict.echo);
    entry.ack.words = std::move(verdict.words);
    entry.spoken = std::move(verdict.spoken);
    entry.undoes = std::move(verdict.undoes);
    entry.decided = !(out.act && out.act->id == message.id);
  }
  return out;
}

void Broker::take_jog(const Actor& actor, const JogCommand& jog, const Situation& situation,
                      Handled& out) {
  // In the latest-wins slot nobody may displace the holder's command, nor an older command of the
  // holder a newer one: that may be the one which lets go. The sender learned of its lease through
  // this thread, so the situation is never behind it.
  const Lease& lease = situation.lease;
  const auto refuse = [this](CommandRefusal why) { ++refused_[static_cast<std::size_t>(why)]; };
  if (jog.robot != config_.robot) return refuse(CommandRefusal::kWrongRobot);
  if (is_viewer(actor) || !lease.holder || lease.holder->name != actor.name) {
    return refuse(CommandRefusal::kNotHolder);
  }
  if (jog.epoch != lease.epoch) return refuse(CommandRefusal::kWrongEpoch);
  if (jog.epoch == newest_epoch_ && jog.sequence <= newest_sequence_) {
    return refuse(CommandRefusal::kNotIncreasing);
  }
  if (jog.action.size() != config_.action_size) return refuse(CommandRefusal::kWrongSize);
  newest_epoch_ = jog.epoch;
  newest_sequence_ = jog.sequence;
  out.jog = SentJog{actor, jog};
}

void Broker::take_stop(const FeedbackMessage& message, Handled& out) {
  out.stop = true;
  AuthorityAct act{.id = {}, .actor = message.actor, .body = Stop{}};
  act.actor.name.resize(std::min(act.actor.name.size(), kLongestId));
  if (!valid_id(message.id)) {
    out.ack = refusal({}, invalid_argument("stopped, but the message's id is not valid"));
  } else {
    // Stopping again is the safe side of a doubt. Somebody may have lifted the first one since:
    // what is acknowledged is this one, when it is on disk.
    Handled before;
    const bool again = repeated(message, before);
    if (again && (!before.ack || before.ack->status.code() == Code::kAlreadyExists)) {
      out.ack = before.ack;
    } else if (make_room()) {
      act.id = again ? id_of_repeated_stop(message.id) : message.id;
      Remembered& entry = remember(act.id, message);
      entry.ack.echo = "stopped";
      entry.decided = false;
    } else {
      out.ack = refusal(message.id, no_room());
    }
  }
  out.act = std::move(act);
}

std::string Broker::id_of_repeated_stop(const std::string& id) {
  std::string mine;
  do {
    mine = id.substr(0, 48) + ":again:" + std::to_string(++repeated_stops_);
  } while (known_(mine) || recent_.contains(mine));
  return mine;
}

bool Broker::repeated(const FeedbackMessage& message, Handled& out) const {
  const auto found = recent_.find(message.id);
  if (found != recent_.end()) {
    if (found->second.actor != message.actor.name) {
      out.ack = refusal(message.id, already_exists("somebody else used this id; make a new one"));
    } else if (found->second.answered) {
      out.ack = found->second.ack;
    }
    return true;
  }
  if (known_(message.id)) {
    out.ack = refusal(message.id, {});
    out.ack->echo = "already recorded";
    return true;
  }
  return false;
}

Status Broker::judge(const FeedbackMessage& message, const Situation& situation, Handled& out,
                     Verdict& verdict) {
  // "Stop" is for everyone, said or typed.
  const bool perhaps_stop = std::holds_alternative<Hold>(message.body) ||
                            std::holds_alternative<WordsMessage>(message.body);
  if (is_viewer(message.actor) && !perhaps_stop) return viewers_only_look();

  const auto act = [&](auto body) {
    out.act = AuthorityAct{.id = message.id, .actor = message.actor, .body = std::move(body)};
    return Status{};
  };
  const auto store = [&](EpisodeId episode, Payload payload) {
    out.records.push_back({.id = {},
                           .actor = message.actor,
                           .episode = episode,
                           .policy_step = situation.policy_step,
                           .payload = std::move(payload)});
  };

  const Status status = std::visit(
      Overloaded{
          [&](const TakeoverRequest& body) { return act(body); },
          [&](const Release& body) { return act(body); },
          [&](const HandBack& body) { return act(body); },
          [&](const Hold& body) { return act(body); },
          [&](const EndEpisode& body) {
            if (!situation.episode_runs) {
              return failed_precondition(
                  "no episode runs; the next one begins when somebody drives");
            }
            verdict.echo = "episode " + std::to_string(situation.newest_episode) + " ends";
            return act(body);
          },
          [&](const ResetStop& body) {
            if (message.actor.role == Role::kScript) {
              return permission_denied("only a person resets STOP");
            }
            return act(body);
          },
          [&](const ResetFault& body) {
            if (message.actor.role != Role::kEngineer) {
              return permission_denied("resetting a fault needs the engineer's role");
            }
            return act(body);
          },
          [&](const WordsMessage& words) {
            return judge_words(message, words, situation, out, verdict);
          },
          [&](const ConfirmWords& confirm) {
            return judge_confirm(message, confirm, situation, out, verdict);
          },
          [&](const UndoWords& undo) { return judge_undo(message, undo, situation, out, verdict); },
          [&](const LabelMessage& label) {
            const EpisodeId episode = label.episode == 0 ? situation.newest_episode : label.episode;
            if (episode == 0 || episode > situation.newest_episode) {
              return not_found("there is no episode " + std::to_string(episode) +
                               "; the newest is " + std::to_string(situation.newest_episode));
            }
            if (label.span > situation.newest_span) {
              return not_found("there is no span " + std::to_string(label.span) +
                               "; the newest is " + std::to_string(situation.newest_span));
            }
            if (label.value > LabelValue::kDiscard) {
              return invalid_argument("a label is none, success, failure or discard");
            }
            store(episode, Label{episode, label.span, label.value});
            return Status{};
          },
          [&](const UndoLast& undo) {
            if (!(undo.seconds > 0 && undo.seconds <= kLongestUndo)) {
              return invalid_argument("undo takes more than 0 and at most 600 seconds");
            }
            if (situation.newest_episode == 0) {
              return failed_precondition("there is no episode to undo anything of");
            }
            const auto steps = static_cast<std::uint64_t>(
                std::ceil(undo.seconds / seconds(config_.policy_period) - 1e-9));
            const std::uint64_t last = situation.policy_step;
            const std::uint64_t first = last + 1 > steps ? last + 1 - steps : 0;
            store(situation.newest_episode,
                  StepsDiscarded{situation.newest_episode, static_cast<std::uint32_t>(first),
                                 static_cast<std::uint32_t>(last)});
            verdict.echo = "steps " + std::to_string(first) + " to " + std::to_string(last) +
                           " will not be learned from";
            return Status{};
          },
          [&](const SplitSpan& split) {
            if (split.span == 0 || split.span > situation.newest_span) {
              return not_found("there is no span " + std::to_string(split.span) +
                               "; the newest is " + std::to_string(situation.newest_span));
            }
            store(situation.newest_episode, SpanSplit{split.span, split.step});
            return Status{};
          },
          [&](const DeclineHelp& decline) {
            if (decline.help == 0 || decline.help != situation.help) {
              return failed_precondition("the policy does not ask for help " +
                                         std::to_string(decline.help) + " now");
            }
            store(situation.newest_episode, HelpEnded{decline.help, HelpEnd::kDeclined});
            verdict.echo = "no help needed: it will not ask again in this episode";
            return Status{};
          },
          [](const auto&) { return internal("handled before"); },
      },
      message.body);
  if (status.ok() && !out.records.empty()) out.records.back().id = message.id;
  return status;
}

Status Broker::judge_words(const FeedbackMessage& message, const WordsMessage& words,
                           const Situation& situation, Handled& out, Verdict& verdict) {
  if (words.text.size() > kLongestWords) {
    return invalid_argument("words may be at most 1,000 bytes; these are " +
                            std::to_string(words.text.size()));
  }
  if (!is_utf8(words.text) || !printable(words.text)) {
    return invalid_argument("words must be UTF-8 text without control characters");
  }
  if (only_spaces(words.text)) return invalid_argument("there are no words in this message");
  if (words.meant != WordsUse::kInstruction && words.meant != WordsUse::kComment) {
    return invalid_argument("words are meant as an instruction or as a comment");
  }

  Understood understood = is_stop(words.text) ? understand_only_stop(words) : understand_(words);
  if (is_viewer(message.actor) && !std::holds_alternative<Hold>(understood.motion)) {
    return viewers_only_look();
  }
  const auto store = [&](Payload payload) {
    out.records.push_back({.id = {},
                           .actor = message.actor,
                           .episode = situation.newest_episode,
                           .policy_step = situation.policy_step,
                           .payload = std::move(payload)});
  };
  const auto act = [&](auto body) {
    out.act = AuthorityAct{.id = message.id,
                           .actor = message.actor,
                           .body = std::move(body),
                           .logged_elsewhere = true};
  };

  WordsAck ack{.use = understood.use, .as = understood.understood_as};
  Spoken spoken{.actor = message.actor,
                .understood = {},
                .said = situation.now,
                .episode = situation.newest_episode};
  if (std::holds_alternative<GoBack>(understood.motion)) {
    if (const Spoken* nudge = reversible(situation, situation.now)) {
      understood.understood_as += " (" + nudge->understood.understood_as + ")";
      ack.as = understood.understood_as;
      spoken.reverse = nudge_words_;
    } else {
      ack.why = "there is no nudge to undo; take over to drive the robot back";
    }
  }
  const bool nudges =
      std::holds_alternative<NudgeBias>(understood.motion) || !spoken.reverse.empty();
  if (nudges) ack.why = why_not_now(situation, message.actor);
  if (ack.why.empty()) ack.why = understood.why;
  if (nudges && ack.why.empty() && understood.confirm) {
    ack.confirm = spoken.asks = true;
  } else if (std::holds_alternative<Hold>(understood.motion)) {
    act(Hold{});
  } else if (const auto* speed = std::get_if<SpeedChange>(&understood.motion)) {
    act(*speed);
  } else if (nudges && ack.why.empty()) {
    NudgeBias nudge = std::get<NudgeBias>(understood.motion);
    nudge.words = message.id;
    act(std::move(nudge));
  }
  if (understood.use == WordsUse::kInstruction) {
    store(InstructionChanged{words.text});
    ack.acted = true;
    spoken.instruction = instruction_.value_or(situation.instruction);
    instruction_ = words.text;
    instruction_words_ = message.id;
  }
  // Last: it carries the message's id.
  store(Words{words.text, understood.use, understood.understood_as});
  ack.undo = understood.use == WordsUse::kInstruction || understood.use == WordsUse::kComment;
  spoken.understood = std::move(understood);
  remember_spoken(message.id, std::move(spoken));
  verdict.spoken = message.id;
  verdict.words = std::move(ack);
  return {};
}

Status Broker::judge_confirm(const FeedbackMessage& message, const ConfirmWords& confirm,
                             const Situation& situation, Handled& out, Verdict& verdict) {
  const Result<Spoken*> found = find_spoken(confirm.words, message.actor);
  if (!found.ok()) return found.status();
  Spoken& spoken = **found;
  if (!std::exchange(spoken.asks, false)) {
    return failed_precondition("these words do not wait for a confirmation");
  }
  if (situation.now - spoken.said > config_.confirm_within) {
    return failed_precondition("that was too long ago to be confirmed; say it again");
  }
  if (spoken.episode != situation.newest_episode) {
    return failed_precondition("the episode in which this was said is over; say it again");
  }
  const Spoken* last = nullptr;
  if (!spoken.reverse.empty()) {
    if (spoken.reverse == nudge_words_) last = reversible(situation, spoken.said);
    if (last == nullptr) {
      return failed_precondition(
          "the nudge was cut short, or another one came after it; take over to drive the robot "
          "back");
    }
  }
  WordsAck ack{.use = spoken.understood.use, .as = spoken.understood.understood_as};
  ack.why = why_not_now(situation, message.actor);
  if (ack.why.empty()) {
    NudgeBias nudge = std::get<NudgeBias>((last ? *last : spoken).understood.motion);
    if (last != nullptr) {
      // A nudge that is still under way has come only so far.
      const double share =
          std::clamp(seconds(situation.now - last->said) / seconds(nudge.length), 0.0, 1.0);
      for (float& rate : nudge.bias) rate *= static_cast<float>(-share);
    }
    nudge.words = confirm.words;
    spoken.said = situation.now;
    out.act = AuthorityAct{.id = message.id,
                           .actor = message.actor,
                           .body = std::move(nudge),
                           .logged_elsewhere = true};
  }
  out.records.push_back({.id = {},
                         .actor = message.actor,
                         .episode = situation.newest_episode,
                         .policy_step = situation.policy_step,
                         .payload = WordsConfirmed{confirm.words}});
  verdict.spoken = confirm.words;
  verdict.words = std::move(ack);
  return {};
}

Status Broker::judge_undo(const FeedbackMessage& message, const UndoWords& undo,
                          const Situation& situation, Handled& out, Verdict& verdict) {
  const Result<Spoken*> found = find_spoken(undo.words, message.actor);
  if (!found.ok()) return found.status();
  Spoken& spoken = **found;
  const WordsUse use = spoken.understood.use;
  if (use == WordsUse::kHold) {
    return failed_precondition("a stop is not taken back: look at the scene, then press Start");
  }
  if (std::exchange(spoken.undone, true)) {
    return failed_precondition("these words are taken back already");
  }
  spoken.asks = false;
  WordsAck ack{.use = use, .as = "taken back: " + spoken.understood.understood_as, .acted = true};
  const auto store = [&](Payload payload) {
    out.records.push_back({.id = {},
                           .actor = message.actor,
                           .episode = situation.newest_episode,
                           .policy_step = situation.policy_step,
                           .payload = std::move(payload)});
  };
  const auto act = [&](auto body) {
    ack.acted = false;
    out.act = AuthorityAct{.id = message.id,
                           .actor = message.actor,
                           .body = std::move(body),
                           .logged_elsewhere = true};
  };
  if (use == WordsUse::kNudge) {
    act(EndNudge{undo.words});
  } else if (use == WordsUse::kSpeed && spoken.episode != situation.newest_episode) {
    ack.acted = false;  // the speed ended with it
    ack.why = "the episode in which this was said is over; nothing changes";
  } else if (use == WordsUse::kSpeed && speed_words_ == undo.words) {
    act(SpeedChange{.absolute = true, .scale = spoken.speed_before});
  } else if (use == WordsUse::kInstruction && instruction_words_ == undo.words) {
    instruction_ = spoken.instruction;
    store(InstructionChanged{*spoken.instruction});
  } else if (use == WordsUse::kSpeed || use == WordsUse::kInstruction) {
    ack.acted = false;
    ack.why = "newer words are in force; nothing changes";
  }
  store(WordsUndone{undo.words});
  verdict.undoes = undo.words;
  verdict.words = std::move(ack);
  return {};
}

Result<Broker::Spoken*> Broker::find_spoken(const std::string& id, const Actor& actor) {
  const auto found = spoken_.find(id);
  if (found == spoken_.end()) {
    return not_found("there are no such words, or too many have been said since");
  }
  if (found->second.actor.name != actor.name) {
    return permission_denied("these are the words of " + found->second.actor.name);
  }
  return &found->second;
}

const Broker::Spoken* Broker::reversible(const Situation& situation, Instant asked) const {
  const auto found = spoken_.find(nudge_words_);
  if (found == spoken_.end()) return nullptr;
  const Spoken& nudge = found->second;
  const bool whole = !nudge.undone && nudge.episode == situation.newest_episode &&
                     nudge.said >= situation.driving_since &&
                     asked - nudge.said <= config_.go_back_within;
  return whole ? &nudge : nullptr;
}

void Broker::remember_spoken(const std::string& id, Spoken spoken) {
  if (!spoken_.insert_or_assign(id, std::move(spoken)).second) return;
  spoken_order_.push_back(id);
  if (spoken_order_.size() <= kMostSpoken) return;
  spoken_.erase(spoken_order_.front());
  spoken_order_.pop_front();
}

void Broker::settle_words(const ActAnswer& answer, Remembered& entry) {
  WordsAck& words = *entry.ack.words;
  words.acted = answer.status.ok();
  words.why = answer.status.message();
  if (!words.acted) restore(entry.undoes);
  // What has ended is not reversed as well.
  if (words.acted && nudge_words_ == entry.undoes) nudge_words_.clear();
  const auto found = spoken_.find(entry.spoken);
  if (words.acted && found != spoken_.end()) {
    Spoken& spoken = found->second;
    words.undo = words.use == WordsUse::kNudge || words.use == WordsUse::kSpeed;
    if (words.use == WordsUse::kSpeed) {
      spoken.speed_before = answer.speed_before;
      speed_words_ = entry.spoken;
      words.as = "work at " + std::to_string(std::lround(100 * answer.speed)) +
                 " % of the policy's own speed";
    } else if (!spoken.reverse.empty()) {
      nudge_words_.clear();  // one does not go back from going back
    } else if (std::holds_alternative<NudgeBias>(spoken.understood.motion)) {
      nudge_words_ = entry.spoken;
    }
  }
  entry.ack.echo = echo_of(words);
}

void Broker::restore(const std::string& undoes) {
  const auto found = spoken_.find(undoes);
  if (found != spoken_.end()) found->second.undone = false;
}

bool Broker::make_room() {
  if (order_.size() < config_.remembered_ids) return true;
  const auto oldest = std::find_if(order_.begin(), order_.end(), [this](const std::string& id) {
    return recent_.at(id).answered;
  });
  if (oldest == order_.end()) return false;
  recent_.erase(*oldest);
  order_.erase(oldest);
  return true;
}

Broker::Remembered& Broker::remember(const std::string& id, const FeedbackMessage& message) {
  order_.push_back(id);
  Remembered& entry = recent_[id];
  entry.actor = message.actor.name;
  entry.ack = Ack{.id = message.id, .status = {}, .echo = {}, .epoch = 0, .holder = {}};
  return entry;
}

std::optional<Ack> Broker::on_decided(const ActAnswer& answer) {
  const auto found = recent_.find(answer.id);
  if (found == recent_.end() || found->second.answered || found->second.decided) {
    return std::nullopt;
  }
  Remembered& entry = found->second;
  entry.decided = true;
  if (entry.ack.words) {
    // The words are stored whatever the authority says.
    settle_words(answer, entry);
    if (!entry.not_stored.ok()) return forget(answer.id, entry.not_stored);
    if (!entry.durable) return std::nullopt;
    entry.answered = true;
    return entry.ack;
  }
  entry.ack.status = answer.status;
  entry.ack.epoch = answer.epoch;
  entry.ack.holder = answer.holder;
  if (answer.status.ok() && answer.logged && !entry.durable) return std::nullopt;
  entry.answered = true;
  return entry.ack;
}

std::optional<Ack> Broker::on_durable(std::string_view id) {
  const auto found = recent_.find(std::string(id));
  if (found == recent_.end() || found->second.answered) return std::nullopt;
  Remembered& entry = found->second;
  entry.durable = true;
  if (!entry.decided) return std::nullopt;  // the authority's answer took the longer way
  entry.answered = true;
  return entry.ack;
}

std::optional<Ack> Broker::on_not_stored(std::string_view id, const Status& why) {
  const auto found = recent_.find(std::string(id));
  if (found == recent_.end() || found->second.answered) return std::nullopt;
  Status status = why.ok() ? unavailable("the event was not stored") : why;
  if (!found->second.decided && found->second.ack.words) {
    found->second.not_stored = std::move(status);  // whether it acted is still to be told
    return std::nullopt;
  }
  return forget(found->first, status);
}

std::optional<Ack> Broker::on_not_asked(std::string_view id, const Status& why) {
  const auto found = recent_.find(std::string(id));
  if (found == recent_.end() || found->second.answered) return std::nullopt;
  return forget(found->first, why);
}

// `why` is a copy: it may stand in the entry that goes.
std::optional<Ack> Broker::forget(const std::string& id, Status why) {
  const auto found = recent_.find(id);
  Ack ack = std::move(found->second.ack);
  restore(found->second.undoes);
  std::erase(order_, id);
  recent_.erase(found);
  ack.status = std::move(why);
  return ack;
}

}  // namespace nudge
