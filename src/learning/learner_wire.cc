#include "src/learning/learner_wire.h"

#include <nlohmann/json.hpp>

namespace nudge {
namespace {

using Json = nlohmann::json;

Frame to_frame(const Json& header) {
  // What is not UTF-8 (a cut character, a strange path) is replaced, not thrown over.
  const std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

Json header_of(const char* type) { return {{"protocol", kLearnerProtocol}, {"type", type}}; }

Result<Json> parse_header(const Frames& frames) {
  if (frames.empty()) return invalid_argument("learner message without a header frame");
  const Frame& frame = frames.front();
  if (frame.size() > kMaxLearnerHeader) {
    return invalid_argument("learner message header has " + std::to_string(frame.size()) +
                            " bytes, more than " + std::to_string(kMaxLearnerHeader));
  }
  const auto* text = reinterpret_cast<const char*>(frame.data());
  // Headers are flat, so depth needs no bound of its own beyond this look for a second opening.
  int depth = 0;
  for (std::size_t i = 0; i < frame.size(); ++i) {
    if ((text[i] == '{' || text[i] == '[') && ++depth > 8) {
      return invalid_argument("learner message header is nested too deeply");
    }
  }
  Json header = Json::parse(text, text + frame.size(), nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) return invalid_argument("learner message header is not a JSON object");
  if (!header.contains("protocol") || !header["protocol"].is_number_integer()) {
    return invalid_argument("learner message header lacks a protocol number");
  }
  if (header["protocol"] != kLearnerProtocol) {
    return unimplemented("learner speaks protocol " + header["protocol"].dump() + ", this build " +
                         std::to_string(kLearnerProtocol) + "; start both from the same build");
  }
  if (!header.contains("type") || !header["type"].is_string()) {
    return invalid_argument("learner message header lacks a type");
  }
  return header;
}

Status expect_frames(const Frames& frames, std::size_t count) {
  if (frames.size() == count) return {};
  return invalid_argument("learner message has " + std::to_string(frames.size()) +
                          " frames instead of " + std::to_string(count));
}

// Reads one field; the first failure sticks.
class Fields {
 public:
  explicit Fields(const Json& header) : header_(header) {}

  std::uint64_t number(const char* name, std::uint64_t max) {
    const Json* field = find(name);
    if (field == nullptr || !field->is_number_unsigned() || field->get<std::uint64_t>() > max) {
      return fail<std::uint64_t>(name);
    }
    return field->get<std::uint64_t>();
  }
  double real(const char* name) {
    const Json* field = find(name);
    // JSON has no NaN: a figure that is not finite travels as null.
    if (field != nullptr && field->is_null()) return 0;
    if (field == nullptr || !field->is_number()) return fail<double>(name);
    return field->get<double>();
  }
  std::string text(const char* name, std::size_t max) {
    const Json* field = find(name);
    if (field == nullptr || !field->is_string() ||
        field->get_ref<const std::string&>().size() > max) {
      return fail<std::string>(name);
    }
    return field->get<std::string>();
  }
  const Status& status() const { return status_; }

 private:
  const Json* find(const char* name) const {
    const auto it = header_.find(name);
    return it == header_.end() ? nullptr : &*it;
  }
  template <typename T>
  T fail(const char* name) {
    if (status_.ok()) {
      status_ = invalid_argument(std::string("learner message field '") + name +
                                 "' is missing, of the wrong type or out of range");
    }
    return T{};
  }
  const Json& header_;
  Status status_;
};

constexpr std::uint64_t kAny = UINT64_MAX;

struct ToFrames {
  Frames operator()(const LearnerHello& m) const {
    Json header = header_of("hello");
    header["pid"] = m.pid;
    header["config_hash"] = m.config_hash;
    header["core_type"] = m.core_type;
    return {to_frame(header)};
  }
  Frames operator()(const FeedRequest& m) const {
    Json header = header_of("feed");
    header["from"] = m.from;
    return {to_frame(header)};
  }
  Frames operator()(CandidateMessage&& m) const {
    Json header = header_of("candidate");
    header["base"] = m.base;
    header["kind"] = static_cast<unsigned>(m.kind);
    header["prefix"] = m.prefix;
    header["steps"] = m.steps;
    header["train_seconds"] = m.train_seconds;
    header["loss"] = m.loss;
    header["correction_episodes"] = m.correction_episodes;
    header["correction_steps"] = m.correction_steps;
    header["demonstration_steps"] = m.demonstration_steps;
    Frames frames{to_frame(header)};
    frames.push_back(std::move(m.weights));
    return frames;
  }
  Frames operator()(const LearnerProgress& m) const {
    Json header = header_of("progress");
    header["through"] = m.through;
    header["rounds"] = m.rounds;
    header["aborted_rounds"] = m.aborted_rounds;
    header["trouble"] = m.trouble.substr(0, 1000);
    return {to_frame(header)};
  }
  Frames operator()(const LearnerWelcome& m) const {
    Json header = header_of("welcome");
    header["feature_size"] = m.feature_size;
    header["proprioception_size"] = m.proprioception_size;
    header["action_size"] = m.action_size;
    header["policy_period_ns"] = m.policy_period_ns;
    header["backbone_hash"] = m.backbone_hash;
    header["weights_folder"] = m.weights_folder;
    return {to_frame(header)};
  }
  Frames operator()(FeedItems&& m) const {
    Json header = header_of("items");
    header["durable"] = m.durable;
    Frames frames{to_frame(header)};
    frames.push_back(std::move(m.page));
    return frames;
  }
  Frames operator()(const LearnerStop&) const { return {to_frame(header_of("stop"))}; }
};

}  // namespace

Frames encode(LearnerMessage message) { return std::visit(ToFrames{}, std::move(message)); }
Frames encode(DaemonMessage message) { return std::visit(ToFrames{}, std::move(message)); }

Result<LearnerMessage> decode_learner_message(Frames frames) {
  Result<Json> header = parse_header(frames);
  if (!header.ok()) return header.status();
  const std::string type = (*header)["type"];
  Fields fields(*header);
  LearnerMessage message;
  if (type == "hello") {
    NUDGE_TRY(expect_frames(frames, 1));
    LearnerHello m;
    m.pid = static_cast<int>(fields.number("pid", INT32_MAX));
    m.config_hash = fields.text("config_hash", 64);
    m.core_type = fields.text("core_type", 64);
    message = std::move(m);
  } else if (type == "feed") {
    NUDGE_TRY(expect_frames(frames, 1));
    FeedRequest m;
    m.from = fields.number("from", kAny);
    message = m;
  } else if (type == "candidate") {
    NUDGE_TRY(expect_frames(frames, 2));
    CandidateMessage m;
    m.base = fields.number("base", kAny);
    m.kind = static_cast<WeightsKind>(fields.number("kind", 1));
    m.prefix = fields.number("prefix", kAny);
    m.steps = static_cast<std::uint32_t>(fields.number("steps", UINT32_MAX));
    m.train_seconds = fields.real("train_seconds");
    m.loss = fields.real("loss");
    m.correction_episodes =
        static_cast<std::uint32_t>(fields.number("correction_episodes", UINT32_MAX));
    m.correction_steps = fields.number("correction_steps", kAny);
    m.demonstration_steps = fields.number("demonstration_steps", kAny);
    if (frames[1].size() > kMaxCandidateBytes) {
      return invalid_argument("candidate has " + std::to_string(frames[1].size()) +
                              " bytes, more than " + std::to_string(kMaxCandidateBytes));
    }
    m.weights = std::move(frames[1]);
    message = std::move(m);
  } else if (type == "progress") {
    NUDGE_TRY(expect_frames(frames, 1));
    LearnerProgress m;
    m.through = fields.number("through", kAny);
    m.rounds = static_cast<std::uint32_t>(fields.number("rounds", UINT32_MAX));
    m.aborted_rounds = static_cast<std::uint32_t>(fields.number("aborted_rounds", UINT32_MAX));
    m.trouble = fields.text("trouble", 1000);
    message = std::move(m);
  } else {
    return invalid_argument("learner message of unknown type '" + type.substr(0, 32) + "'");
  }
  NUDGE_TRY(fields.status());
  return message;
}

Result<DaemonMessage> decode_daemon_message(Frames frames) {
  Result<Json> header = parse_header(frames);
  if (!header.ok()) return header.status();
  const std::string type = (*header)["type"];
  Fields fields(*header);
  DaemonMessage message;
  if (type == "stop") {
    NUDGE_TRY(expect_frames(frames, 1));
    message = LearnerStop{};
  } else if (type == "welcome") {
    NUDGE_TRY(expect_frames(frames, 1));
    LearnerWelcome m;
    m.feature_size = static_cast<std::uint32_t>(fields.number("feature_size", kMaxFeatures));
    m.proprioception_size = static_cast<std::uint32_t>(fields.number("proprioception_size", 256));
    m.action_size = static_cast<std::uint32_t>(fields.number("action_size", 64));
    m.policy_period_ns = fields.number("policy_period_ns", 60'000'000'000);
    m.backbone_hash = fields.text("backbone_hash", 64);
    m.weights_folder = fields.text("weights_folder", 4096);
    message = std::move(m);
  } else if (type == "items") {
    NUDGE_TRY(expect_frames(frames, 2));
    FeedItems m;
    m.durable = fields.number("durable", kAny);
    m.page = std::move(frames[1]);
    message = std::move(m);
  } else {
    return invalid_argument("daemon message of unknown type '" + type.substr(0, 32) + "'");
  }
  NUDGE_TRY(fields.status());
  return message;
}

}  // namespace nudge
