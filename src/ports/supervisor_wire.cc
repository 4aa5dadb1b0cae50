#include "src/ports/supervisor_wire.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "replay/dataset.h"
#include "replay/event_codec.h"
#include "replay/person.h"
#include "src/ports/desk.h"
#include "src/ports/history.h"
#include "src/ports/http_message.h"
#include "src/ports/learning_ledger.h"

namespace nudge {
namespace {

using Json = nlohmann::ordered_json;  // `type` comes first, as in the document

// ---- reading ------------------------------------------------------------------------------------

constexpr std::size_t kMaxChannels = 64;
constexpr std::size_t kMaxWireCameras = 16;
constexpr std::size_t kMaxName = 64;

// Takes the fields that a message needs; the first bad one is remembered. Unlike replay's reader it
// lets unknown fields pass: a newer page may talk to an older daemon.
class Fields {
 public:
  explicit Fields(const nlohmann::json& object) : object_(object) {}

  const nlohmann::json* find(const char* name) {
    const auto at = object_.find(name);
    return at == object_.end() ? nullptr : &*at;
  }

  std::uint64_t whole(const char* name, std::uint64_t most, bool needed = true) {
    const nlohmann::json* value = take(name, needed);
    if (value == nullptr) return 0;
    if (!value->is_number_unsigned()) return fail(name, "is not a whole number from 0 up"), 0;
    const auto number = value->get<std::uint64_t>();
    if (number > most) return fail(name, "is out of range"), 0;
    return number;
  }
  std::uint64_t whole64(const char* name, bool needed = true) {
    return whole(name, std::numeric_limits<std::uint64_t>::max(), needed);
  }
  std::uint32_t whole32(const char* name) {
    return static_cast<std::uint32_t>(whole(name, std::numeric_limits<std::uint32_t>::max()));
  }
  bool yes(const char* name) {
    const nlohmann::json* value = take(name, true);
    if (value == nullptr) return false;
    if (!value->is_boolean()) return fail(name, "is neither true nor false"), false;
    return value->get<bool>();
  }
  double number(const char* name) {
    const nlohmann::json* value = take(name, true);
    if (value == nullptr) return 0;
    if (!value->is_number()) return fail(name, "is not a number"), 0;
    const auto number = value->get<double>();
    if (!std::isfinite(number)) return fail(name, "is not finite"), 0;
    return number;
  }
  std::string text(const char* name, std::size_t most, bool needed = true) {
    const nlohmann::json* value = take(name, needed);
    if (value == nullptr) return {};
    if (!value->is_string()) return fail(name, "is not a text"), std::string();
    const auto& text = value->get_ref<const std::string&>();
    if (text.size() > most) return fail(name, "is too long"), std::string();
    return text;
  }
  std::string message_id(const char* name) {
    std::string id = text(name, kMaxName);
    if (status_.ok() && !is_message_id(id)) fail(name, "is not the id of a message");
    return id;
  }
  const nlohmann::json* list(const char* name, std::size_t most) {
    const nlohmann::json* value = take(name, true);
    if (value == nullptr) return nullptr;
    if (!value->is_array()) return fail(name, "is not a list"), nullptr;
    if (value->size() > most) return fail(name, "is too long"), nullptr;
    return value;
  }
  // One of `words`, whose place is the value.
  template <std::size_t N>
  std::size_t word(const char* name, const std::array<std::string_view, N>& words,
                   const char* what) {
    const std::string given = text(name, kMaxName);
    const auto at = std::find(words.begin(), words.end(), given);
    if (at == words.end()) return fail(name, what), 0;
    return static_cast<std::size_t>(at - words.begin());
  }

  void fail(const char* name, const char* what) {
    if (status_.ok()) status_ = invalid_argument(std::string("field ") + name + " " + what);
  }
  const Status& status() const { return status_; }

 private:
  const nlohmann::json* take(const char* name, bool needed) {
    const nlohmann::json* value = find(name);
    if (value == nullptr && needed) fail(name, "is missing");
    return value;
  }
  const nlohmann::json& object_;
  Status status_;
};

constexpr std::array<std::string_view, 4> kLabels = {"none", "success", "failure", "discard"};
static_assert(static_cast<int>(LabelValue::kSuccess) == 1);
static_assert(static_cast<int>(LabelValue::kDiscard) == 3);
constexpr std::array<std::string_view, 2> kMeant = {"instruction", "comment"};
constexpr std::array<std::string_view, 2> kViews = {"facing", "behind"};

JogCommand read_jog(Fields& fields) {
  JogCommand jog;
  jog.robot = fields.text("robot", kMaxName, /*needed=*/false);
  jog.epoch = fields.whole64("epoch");
  jog.sequence = fields.whole64("sequence");
  jog.echoed_tick = fields.whole64("tick");
  jog.dead_man = fields.yes("dead_man");
  if (const nlohmann::json* action = fields.list("action", kMaxChannels)) {
    for (const nlohmann::json& value : *action) {
      if (!value.is_number()) {
        fields.fail("action", "has a value that is not a number");
        break;
      }
      const auto rate = value.get<double>();
      // Beyond a float's range the conversion is undefined; what is merely too fast is for limits.
      if (!(std::abs(rate) <= static_cast<double>(std::numeric_limits<float>::max()))) {
        fields.fail("action", "has a value that is out of range");
        break;
      }
      jog.action.push_back(static_cast<float>(rate));
    }
  }
  return jog;
}

Status read_cameras(Fields& fields, FramesWanted& out) {
  if (const nlohmann::json* cameras = fields.list("cameras", kMaxWireCameras)) {
    for (const nlohmann::json& camera : *cameras) {
      if (!camera.is_string() || camera.get_ref<const std::string&>().size() > kMaxName) {
        fields.fail("cameras", "has an entry that is not a camera's name");
        break;
      }
      out.cameras.push_back(camera.get<std::string>());
    }
  }
  return fields.status();
}

// The body of a message that belongs to the broker; false: it is none of these.
bool read_feedback(std::string_view type, Fields& fields, FeedbackBody& out) {
  if (type == "jog") {
    out = read_jog(fields);
  } else if (type == "takeover") {
    out = TakeoverRequest{};
  } else if (type == "release") {
    out = Release{};
  } else if (type == "hand_back") {
    out = HandBack{};
  } else if (type == "stop") {
    out = Stop{};
  } else if (type == "reset_stop") {
    out = ResetStop{};
  } else if (type == "reset_fault") {
    out = ResetFault{};
  } else if (type == "hold") {
    out = Hold{};
  } else if (type == "words") {
    WordsMessage words;
    words.text = fields.text("text", kMaxSupervisorMessage);  // the broker says how long it may be
    words.meant = fields.word("meant", kMeant, "is neither instruction nor comment") == 0
                      ? WordsUse::kInstruction
                      : WordsUse::kComment;
    if (fields.find("view") != nullptr) {
      words.view = fields.word("view", kViews, "is neither facing nor behind") == 0
                       ? Viewpoint::kFacing
                       : Viewpoint::kBehind;
    }
    out = std::move(words);
  } else if (type == "confirm_words") {
    out = ConfirmWords{fields.message_id("words")};
  } else if (type == "undo_words") {
    out = UndoWords{fields.message_id("words")};
  } else if (type == "label") {
    LabelMessage label;
    label.episode = fields.whole64("episode", /*needed=*/false);
    label.span = fields.whole64("span", /*needed=*/false);
    label.value = static_cast<LabelValue>(
        fields.word("value", kLabels, "is none of success, failure, discard, none"));
    out = label;
  } else if (type == "undo") {
    out = UndoLast{fields.number("seconds")};
  } else if (type == "split") {
    SplitSpan split;
    split.span = fields.whole64("span");
    split.step = fields.whole32("step");
    out = split;
  } else if (type == "end_episode") {
    out = EndEpisode{};
  } else if (type == "decline_help") {
    out = DeclineHelp{fields.whole64("help")};
  } else {
    return false;
  }
  return true;
}

bool read_operator(std::string_view type, Fields& fields, OperatorMessage& out) {
  if (type == "promote") {
    out.body = PromoteWeights{fields.whole64("version")};
  } else if (type == "roll_back") {
    out.body = RollBackWeights{};
  } else if (type == "resume_learning") {
    out.body = ResumeLearning{};
  } else if (type == "withdraw_corrections") {
    out.body = WithdrawCorrections{fields.text("supervisor", kMaxName)};
  } else if (type == "restore_corrections") {
    out.body = RestoreCorrections{fields.text("supervisor", kMaxName)};
  } else {
    return false;
  }
  return true;
}

Result<ClientMessage> read_message(const nlohmann::json& object, const Actor& actor,
                                   RefusedMessage& refused, std::string_view otherwise_id) {
  Fields fields(object);
  const nlohmann::json* given = fields.find("id");
  std::string id(given == nullptr ? otherwise_id : std::string_view());
  if (given != nullptr && given->is_string() &&
      is_message_id(given->get_ref<const std::string&>())) {
    id = given->get<std::string>();
  }
  refused.id = id;

  const std::string type = fields.text("type", kMaxName);
  if (!fields.status().ok()) return fields.status();
  refused.jog = type == "jog";
  if (type == "frames") {
    FramesWanted wanted;
    NUDGE_TRY(read_cameras(fields, wanted).with_context(type));
    return ClientMessage(std::move(wanted));
  }
  if (type == "frame_seen") {
    FrameSeen seen;
    seen.camera = fields.whole32("camera");
    seen.sequence = fields.whole32("sequence");
    NUDGE_TRY(fields.status().with_context(type));
    return ClientMessage(seen);
  }
  if (type == "ping") {
    const Ping ping{fields.number("sent")};
    NUDGE_TRY(fields.status().with_context(type));
    return ClientMessage(ping);
  }

  // STOP is never refused for its form.
  const bool needs_id = type != "jog" && type != "stop";
  FeedbackMessage feedback;
  OperatorMessage act;
  const bool asks = type == "ask_to_drive";
  const bool known = read_feedback(type, fields, feedback.body);
  if (!known && !asks && !read_operator(type, fields, act)) {
    return invalid_argument("there is no message of the type '" + type + "'");
  }
  NUDGE_TRY(fields.status().with_context(type));
  if (needs_id && id.empty()) {
    return invalid_argument(type + ": id must be 1 to 64 of A-Z a-z 0-9 _ . : - and unique");
  }
  if (asks) return ClientMessage(AskToDrive{std::move(id)});
  if (!known) {
    act.id = std::move(id);
    return ClientMessage(std::move(act));
  }
  feedback.id = std::move(id);
  feedback.actor = actor;
  return ClientMessage(std::move(feedback));
}

// ---- writing ------------------------------------------------------------------------------------

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// The shortest number that reads as the same float: 0.1, not 0.10000000149011612.
Json number(float value) {
  if (!std::isfinite(value)) return nullptr;
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  double shortest = 0;
  std::from_chars(digits.data(), end, shortest);
  return shortest;
}

// Three digits behind the point are enough for what people read.
Json rounded(double value) {
  if (!std::isfinite(value)) return nullptr;
  return std::round(value * 1000) / 1000;
}

Json numbers(const std::vector<float>& values) {
  Json list = Json::array();
  for (const float value : values) list.push_back(number(value));
  return list;
}

std::int64_t milliseconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

std::string_view name_of(WordsUse use) {
  switch (use) {
    case WordsUse::kNotUnderstood: return "not_understood";
    case WordsUse::kInstruction: return "instruction";
    case WordsUse::kNudge: return "nudge";
    case WordsUse::kComment: return "comment";
    case WordsUse::kHold: return "hold";
    case WordsUse::kSpeed: return "speed";
  }
  return "unknown";
}

std::string_view name_of(WeightsKind kind) {
  return kind == WeightsKind::kFull ? "full" : "provisional";
}

std::string_view name_of(WeightsRow::State state) {
  switch (state) {
    case WeightsRow::State::kAccepted: return "accepted";
    case WeightsRow::State::kConfirmed: return "confirmed";
    case WeightsRow::State::kRolledBack: return "rolled_back";
  }
  return "unknown";
}

std::string_view driver_of(const EpisodeRow& row) {
  if (row.human_steps == 0) return "policy";
  return row.human_steps >= row.steps ? "human" : "mixed";
}

Json actor_json(const Actor& actor) {
  return {{"name", actor.name}, {"role", to_string(actor.role)}};
}

Json channels_json(const std::vector<Channel>& channels) {
  Json list = Json::array();
  for (const Channel& channel : channels) {
    list.push_back({{"name", channel.name},
                    {"unit", channel.unit},
                    {"lower", number(channel.lower)},
                    {"upper", number(channel.upper)}});
  }
  return list;
}

Json robot_json(const RobotSpec& robot) {
  Json cameras = Json::array();
  for (const CameraSpec& camera : robot.observation.cameras) {
    cameras.push_back({{"name", camera.name}, {"width", camera.width}, {"height", camera.height}});
  }
  return {{"id", robot.id},
          {"control_period_ms", rounded(1e3 * seconds(robot.control_period))},
          {"policy_period_ms", rounded(1e3 * seconds(robot.policy_period))},
          {"action", channels_json(robot.action.channels)},
          {"proprioception", channels_json(robot.observation.proprioception)},
          {"cameras", std::move(cameras)}};
}

Json help_json(const HelpState& help) {
  if (help.help == 0) return nullptr;
  std::string_view reason = "both";
  std::string_view why =
      "The policy is unsure and does not get on: its samples disagree, and the robot makes no "
      "progress.";
  if (help.reason == HelpReason::kDisagreement) {
    reason = "disagreement";
    why = "The policy is unsure: its samples disagree.";
  } else if (help.reason == HelpReason::kNoProgress) {
    reason = "no_progress";
    why = "The policy does not get on: the robot stays where it is, or takes longer than usual.";
  }
  return {{"id", help.help},
          {"why", why},
          {"reason", reason},
          {"score", rounded(help.score)},
          {"since_s", rounded(seconds(help.since))}};
}

Json episodes_json(const History& history, std::size_t most) {
  std::vector<const EpisodeRow*> rows;
  const auto& all = history.episodes();
  for (auto row = all.rbegin(); row != all.rend() && rows.size() < most; ++row) {
    if (row->ended) rows.push_back(&*row);
  }
  Json list = Json::array();
  for (auto at = rows.rbegin(); at != rows.rend(); ++at) {
    const EpisodeRow& row = **at;
    list.push_back({{"id", row.episode},
                    {"purpose", to_string(row.purpose)},
                    {"outcome", to_string(row.outcome())},
                    {"driver", driver_of(row)},
                    {"steps", row.steps},
                    {"human_steps", row.human_steps},
                    {"takeovers", row.takeovers},
                    {"human_seconds", rounded(seconds(row.human))},
                    {"seconds", rounded(seconds(row.length))},
                    {"weights", row.weights},
                    {"takeover_after_s",
                     row.takeover_after ? rounded(seconds(*row.takeover_after)) : Json(nullptr)},
                    {"instruction", row.instruction},
                    {"started_ms", milliseconds(row.started)}});
  }
  return list;
}

// Losses are small: four digits that count.
Json significant(double value) {
  if (!std::isfinite(value)) return nullptr;
  if (value == 0) return 0.0;
  const double scale = std::pow(10, 3 - std::floor(std::log10(std::abs(value))));
  return std::isfinite(scale) ? std::round(value * scale) / scale : value;
}

// A log of an earlier version says of a round neither its steps nor what came of them.
bool is_told(const CandidateReceived& candidate) { return candidate.steps > 0; }

Json loss_json(const CandidateReceived& candidate) {
  return is_told(candidate) ? significant(candidate.loss) : Json(nullptr);
}

Json corrections_json(const CandidateReceived& candidate) {
  if (!is_told(candidate)) return nullptr;
  return {{"episodes", candidate.correction_episodes}, {"steps", candidate.correction_steps}};
}

Json rounds_json(const LearningLedger& ledger) {
  Json list = Json::array();
  const auto& all = ledger.rounds();
  for (std::size_t i = all.size() - std::min(all.size(), kShownRounds); i < all.size(); ++i) {
    const LearningRound& round = all[i];
    const CandidateReceived& told = round.candidate;
    list.push_back({{"version", round.version != 0 ? Json(round.version) : Json(nullptr)},
                    {"kind", round.kind == WeightsKind::kFull ? "full" : "micro"},
                    {"loss", loss_json(told)},
                    {"steps", told.steps},
                    {"train_seconds", rounded(told.train_seconds)},
                    {"wall_ms", milliseconds(round.wall)},
                    {"corrections", corrections_json(told)},
                    {"demonstration", told.demonstration_steps},
                    {"verdict", round.version != 0 ? "accepted" : "rejected"},
                    {"reason", round.reason}});
  }
  return list;
}

Json supervisors_json(const DatasetCounts& dataset) {
  std::map<std::string, std::uint64_t> steps;
  for (const SupervisorCounts& one : dataset.supervisors) {
    const std::uint64_t corrections = one.corrections + one.recoveries;
    if (corrections > 0) steps[std::string(person_of(one.name))] += corrections;
  }
  std::vector<std::pair<std::string, std::uint64_t>> most(steps.begin(), steps.end());
  std::stable_sort(most.begin(), most.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  Json list = Json::array();
  for (const auto& [name, corrections] : most) {
    if (list.size() >= kShownSupervisors) break;
    list.push_back({{"name", name}, {"corrections", corrections}});
  }
  return list;
}

// The gate's line of JSON as it is; null when there is none, or it is none.
Json gate_json(const std::string& gate) {
  if (gate.empty() || json_depth(gate, kMaxSupervisorDepth) > kMaxSupervisorDepth) return nullptr;
  Json parsed = Json::parse(gate, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return nullptr;
  return parsed;
}

}  // namespace

std::string_view to_string(Role role) {
  switch (role) {
    case Role::kScript: return "script";
    case Role::kViewer: return "viewer";
    case Role::kSupervisor: return "supervisor";
    case Role::kEngineer: return "engineer";
  }
  return "unknown";
}

std::string_view to_string(ControlSource source) {
  switch (source) {
    case ControlSource::kHold: return "hold";
    case ControlSource::kPolicy: return "policy";
    case ControlSource::kHuman: return "human";
    case ControlSource::kNudge: return "nudge";
    case ControlSource::kScript: return "script";
  }
  return "unknown";
}

std::string_view to_string(LabelValue value) {
  const auto place = static_cast<std::size_t>(value);
  return place < kLabels.size() ? kLabels[place] : "unknown";
}

std::string_view to_string(EpisodePurpose purpose) {
  switch (purpose) {
    case EpisodePurpose::kDeployment: return "deployment";
    case EpisodePurpose::kDemonstration: return "demonstration";
    case EpisodePurpose::kEvaluation: return "evaluation";
  }
  return "unknown";
}

bool is_message_id(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == ':' || c == '-';
  });
}

int json_depth(std::string_view text, int limit) {
  int depth = 0, deepest = 0;
  bool in_text = false;
  for (std::size_t i = 0; i < text.size() && deepest <= limit; ++i) {
    const char c = text[i];
    if (in_text) {
      if (c == '\\') ++i;
      if (c == '"') in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      depth = std::max(0, depth - 1);
    }
  }
  return deepest;
}

Result<ClientMessage> parse_client_message(std::string_view text, const Actor& actor,
                                           RefusedMessage* refused, std::string_view id) {
  RefusedMessage unused;
  RefusedMessage& known = refused != nullptr ? *refused : unused;
  known = {};
  if (text.size() > kMaxSupervisorMessage) {
    return invalid_argument("a message may have at most " + std::to_string(kMaxSupervisorMessage) +
                            " bytes");
  }
  if (json_depth(text, kMaxSupervisorDepth) > kMaxSupervisorDepth) {
    return invalid_argument("a message may be nested at most " +
                            std::to_string(kMaxSupervisorDepth) + " deep");
  }
  try {
    // Also discarded: a number beyond a double's range, text that is not UTF-8.
    const nlohmann::json object =
        nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
    if (object.is_discarded()) return invalid_argument("the message is not valid JSON");
    if (!object.is_object()) return invalid_argument("the message is not a JSON object");
    return read_message(object, actor, known, id);
  } catch (const nlohmann::json::exception& error) {
    return invalid_argument(std::string("the message cannot be read: ") + error.what());
  }
}

namespace {

Json ack_json(const Ack& ack) {
  Json json = {{"type", "ack"},
               {"id", ack.id},
               {"ok", ack.status.ok()},
               {"code", to_string(ack.status.code())},
               {"message", ack.status.message()},
               {"echo", ack.echo},
               {"epoch", ack.epoch},
               {"holder", ack.holder}};
  if (ack.words) {
    json["words"] = {{"use", name_of(ack.words->use)}, {"as", ack.words->as},
                     {"acted", ack.words->acted},      {"why", ack.words->why},
                     {"confirm", ack.words->confirm},  {"undo", ack.words->undo}};
  }
  return json;
}

}  // namespace

std::string encode_refusal(const Ack& ack, int http_status, std::string_view title) {
  Json json = ack_json(ack);
  json["type"] = "about:blank";
  json["title"] = title;
  json["status"] = http_status;
  json["detail"] = ack.status.message();
  return text_of(json);
}

std::string encode_ack(const Ack& ack) { return text_of(ack_json(ack)); }

std::string encode_pong(const Ping& ping, Instant now) {
  return text_of({{"type", "pong"},
                  {"sent", ping.sent},
                  {"daemon_ms", rounded(1e3 * seconds(now.time_since_epoch()))}});
}

std::string encode_asked_to_drive(const Actor& by) {
  return text_of({{"type", "asked_to_drive"}, {"by", actor_json(by)}});
}

std::string encode_problem(const Status& why) {
  return text_of(
      {{"type", "problem"}, {"code", to_string(why.code())}, {"message", why.message()}});
}

std::string encode_hello(const DeskInfo& info, const Caller& caller, bool secure) {
  Json you = actor_json(caller.actor);
  if (!caller.device.empty()) you["device"] = caller.device;
  return text_of({{"type", "hello"},
                  {"protocol", kSupervisorProtocol},
                  {"program", info.program},
                  {"boot", info.boot},
                  {"you", std::move(you)},
                  {"robot", robot_json(info.robot)},
                  {"fresh_ms", rounded(1e3 * seconds(info.fresh))},
                  {"secure", secure}});
}

std::string encode_robot(const RobotSpec& robot) { return text_of(robot_json(robot)); }

std::string encode_status(const StatusView& view, bool mine) {
  const Snapshot& now = view.snapshot;
  const auto& weights = view.history.weights();
  const auto live = std::find_if(weights.rbegin(), weights.rend(), [&](const WeightsRow& row) {
    return row.version == view.history.live();
  });
  std::uint64_t refused = 0;
  for (const std::uint64_t count : now.refused_commands) refused += count;
  // A thumb that is up is not a command that was refused.
  refused -= now.refused_commands[static_cast<std::size_t>(CommandRefusal::kDeadManUp)];
  const Json holder = now.lease.holder ? actor_json(*now.lease.holder) : Json(nullptr);
  return text_of(
      {{"type", "status"},
       {"tick", now.tick},
       {"state", to_string(now.state)},
       {"why", now.cause},
       {"why_text", why_text(now.state, now.cause)},
       {"lease", {{"epoch", now.lease.epoch}, {"holder", holder}, {"mine", mine}}},
       {"source", to_string(now.source)},
       {"proposed", numbers(now.proposed)},
       {"requested", numbers(now.requested)},
       {"executed", numbers(now.executed)},
       {"clamped", now.clamped},
       {"speed", rounded(now.speed)},
       {"proprioception", numbers(now.observation.proprioception)},
       {"episode",
        {{"id", now.episode},
         {"step", now.policy_step},
         {"autonomous", now.autonomous},
         {"limit", now.step_limit},
         {"seconds", rounded(seconds(now.episode_length))},
         {"instruction", now.instruction},
         {"takeovers", now.takeovers},
         {"human_seconds", rounded(seconds(now.human))}}},
       {"weights",
        {{"playing", now.playing},
         {"live", view.history.live()},
         {"kind", live == weights.rend() ? std::string_view() : name_of(live->kind)},
         {"confirmed", view.history.confirmed()}}},
       {"learning",
        {{"state", view.learning.state},
         {"detail", view.learning.detail},
         {"round", view.learning.round},
         {"done", view.learning.done},
         {"total", view.learning.total}}},
       {"recording", view.recording},
       {"robot_age_ms", rounded(std::max(0.0, 1e3 * seconds(now.now - now.observation.time)))},
       {"robot_trouble", now.robot_trouble},
       {"caution", now.caution},
       {"alarm", view.alarm},
       {"storage", view.storage},
       {"fault", now.fault},
       {"missed_ticks", now.missed_ticks},
       {"lost_steps", now.lost_steps},
       {"refused_commands", refused},
       {"viewers", view.viewers},
       {"help", help_json(now.help)},
       {"uncertainty", now.uncertainty ? rounded(*now.uncertainty) : Json(nullptr)}});
}

bool is_shown(const Event& event) {
  return std::visit(
      []<typename T>(const T&) {
        return !std::is_same_v<T, LeaseGranted> && !std::is_same_v<T, LeaseEnded> &&
               !std::is_same_v<T, CandidateReceived> && !std::is_same_v<T, WordsActed> &&
               !std::is_same_v<T, HelpScored>;
      },
      event.payload);
}

std::string encode_event(const Event& event) {
  std::string text = text_of({{"type", "event"},
                              {"sequence", event.sequence},
                              {"kind", kind_of(event.payload)},
                              {"episode", event.episode},
                              {"step", event.policy_step},
                              {"wall_ms", milliseconds(event.wall_time)},
                              {"actor", actor_json(event.actor)}});
  // The log's own text, which is JSON already. An event that is on disk can always be encoded.
  const auto data = encode_payload(event.payload);
  text.pop_back();
  return text + ",\"data\":" + (data.ok() ? *data : "{}") + "}";
}

std::string encode_curves(const History& history, std::size_t most) {
  const SuccessRate success = history.recent_success();
  return text_of({{"type", "curves"},
                  {"episodes", episodes_json(history, most)},
                  {"success",
                   {{"of", success.of},
                    {"successes", success.successes},
                    {"low", rounded(success.low)},
                    {"high", rounded(success.high)}}}});
}

std::string encode_episodes(const History& history, std::size_t most) {
  return text_of({{"episodes", episodes_json(history, most)}});
}

std::string encode_weights(const History& history, const LearningLedger& ledger) {
  Json versions = Json::array();
  const auto& all = history.weights();
  for (auto row = all.rbegin(); row != all.rend() && versions.size() < kShownVersions; ++row) {
    const LearningRound* round = ledger.find(row->version);
    const auto of_round = [&](Json value) { return round != nullptr ? value : Json(nullptr); };
    const CandidateReceived told = round != nullptr ? round->candidate : CandidateReceived{};
    versions.push_back({{"version", row->version},
                        {"parent", row->parent},
                        {"kind", name_of(row->kind)},
                        {"state", name_of(row->state)},
                        {"was_live", row->was_live},
                        {"accepted_ms", milliseconds(row->accepted)},
                        {"reason", row->reason},
                        {"gate", gate_json(row->gate)},
                        {"withdrawn", history.teachers().taint(row->version)},
                        {"prefix", of_round(told.prefix)},
                        {"train_seconds", of_round(rounded(told.train_seconds))},
                        {"loss", of_round(loss_json(told))},
                        {"corrections", of_round(corrections_json(told))},
                        {"demonstration", of_round(told.demonstration_steps)}});
  }
  return text_of({{"type", "weights"},
                  {"live", history.live()},
                  {"confirmed", history.confirmed()},
                  {"versions", std::move(versions)}});
}

std::string encode_learning(const DatasetCounts& dataset, const LearningLedger& ledger,
                            const LearningStatus& learning) {
  const auto of = [&](SampleClass c) { return dataset.trainable[static_cast<std::size_t>(c)]; };
  std::uint64_t held_out = 0;
  for (const std::uint64_t steps : dataset.held_out) held_out += steps;
  return text_of({{"type", "learning"},
                  {"dataset",
                   {{"episodes",
                     {{"success", dataset.successes},
                      {"failure", dataset.failures},
                      {"discard", dataset.discards},
                      {"unlabelled", dataset.deployments - dataset.successes - dataset.failures -
                                         dataset.discards}}},
                    {"steps",
                     {{"correction", of(SampleClass::kCorrection)},
                      {"recovery", of(SampleClass::kRecovery)},
                      {"nudged", of(SampleClass::kNudged)},
                      {"autonomous_success", of(SampleClass::kAutonomousSuccess)},
                      {"demonstration", of(SampleClass::kDemonstration)},
                      {"quarantined", dataset.quarantined},
                      {"discarded", dataset.discarded + dataset.taken_out},
                      {"held_out", held_out}}},
                    {"supervisors", supervisors_json(dataset)}}},
                  {"rounds", rounds_json(ledger)},
                  {"next", learning.next}});
}

std::string encode_phrases(const History& history) {
  return text_of({{"type", "phrases"},
                  {"quick", history.phrases().quick()},
                  {"last", history.phrases().last()}});
}

std::string_view why_text(AuthorityState state, std::string_view cause) {
  struct Line {
    AuthorityState state;
    std::string_view cause, text;
  };
  using enum AuthorityState;
  static constexpr Line kLines[] = {
      {kHold, "boot", "The robot has just started. Press Start when the scene is clear."},
      {kHold, "stop_reset", "STOP was lifted. Look at the scene, then press Start or drive."},
      {kHold, "fault_reset", "The fault was reset. Look at the scene, then press Start or drive."},
      {kHold, "hold_asked", "Somebody asked the robot to hold. Press Start to go on, or drive."},
      {kHold, "out_of_limits",
       "Motion was cut at the robot's limits too often. Move it away from the limit by "
       "hand-driving, "
       "then press Start."},
      {kHold, "reset_failed",
       "The robot could not reset its scene. Look at it and at the robot, then press Start to try "
       "again."},
      {kHold, "camera_stale",
       "A camera shows nothing new, and the policy would drive blind. Check the camera, then press "
       "Start; or drive."},
      {kHold, "preempted", "Somebody with a higher role took over. Wait for them, or ask them."},
      {kHold, "released", "The driver let go. Press Start, or drive on."},
      {kHold, "hand_back_asked", "The driver gives the robot back; the policy looks again."},
      {kHold, "takeover_timeout",
       "Nobody drove for 10 seconds after asking to. Hold the dead-man and move to drive."},
      {kHold, "dead_man_released", "The dead-man was let go. Press it again to drive, or Start."},
      {kHold, "command_stale",
       "The driver's commands came too late. Check the network, then drive again or press Start."},
      {kHold, "commands_not_finite",
       "The driver's device sent broken numbers. Reconnect it, then drive again."},
      {kHold, "hand_back_timeout",
       "The policy had nothing usable to propose. Check that weights are loaded and cameras see, "
       "then press Start again."},
      {kTakeover, "takeover_asked",
       "The robot waits for the driver. Hold the dead-man and move to drive."},
      {kTakeover, "resetting", "The robot resets its scene; then it waits for the driver."},
      {kHandback, "resetting", "The robot resets its scene; then the policy looks at it."},
      {kHuman, "resetting", "The robot resets its scene; then the driver goes on."},
      {kAuto, "resetting", "The robot resets its scene; then the policy goes on."},
      {kHuman, "driving", "A person drives. Release to hold, or hand back to the policy."},
      {kHandback, "hand_back_asked", "The policy looks at the scene before it moves."},
      {kAuto, "policy_ready", "The policy drives. Take over whenever it goes wrong."},
      {kFaultHold, "tick_disorder",
       "The control clock did not advance. Restart Nudge; if it happens again, look at the log."},
      {kFaultHold, "loop_gap",
       "The control loop stood still for too long. Free the computer of other work, then reset the "
       "fault."},
      {kFaultHold, "robot_not_finite",
       "The robot reports broken numbers. Check its sensors, then reset the fault."},
      {kFaultHold, "robot_stale",
       "The robot does not answer. Check its power and cable, then reset the fault."},
      {kFaultHold, "weights_failed",
       "The weights failed their check. Roll back to confirmed weights, then reset the fault."},
      {kFaultHold, "policy_not_finite",
       "The policy proposed broken numbers; its weights are rolled back. Then reset the fault."},
      {kFaultHold, "policy_wrong_size",
       "The policy proposed an action of the wrong size. Load weights made for this robot, then "
       "reset the fault."},
      {kFaultHold, "inference_late",
       "The policy is too slow on this computer. Free it of other work, then reset the fault."},
      {kEstop, "stopped",
       "STOP was pressed. Reset STOP when people and scene are clear; the robot then holds."},
      {kEstop, "boot",
       "STOP was pressed before the restart and still holds. Reset STOP when the scene is clear."},
  };
  for (const Line& line : kLines) {
    if (line.state == state && line.cause == cause) return line.text;
  }
  switch (state) {
    case kHold: return "The robot holds. Press Start when the scene is clear, or drive.";
    case kTakeover: return "The robot waits for the driver.";
    case kHuman: return "A person drives.";
    case kHandback: return "The policy prepares to drive.";
    case kAuto: return "The policy drives.";
    case kFaultHold:
      return "A fault holds the robot. An engineer resets it once its cause is gone.";
    case kEstop: return "STOP holds the robot. Reset STOP when the scene is clear.";
  }
  return "";
}

}  // namespace nudge
