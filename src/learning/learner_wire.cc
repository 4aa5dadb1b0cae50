#include "src/learning/learner_wire.h"

#include <nlohmann/json.hpp>
#include <utility>

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

Result<Json> parse_header(const Frame& frame) {
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

Status expect_no_body(const WireMessage& message) {
  if (message.body.empty()) return {};
  return invalid_argument("learner message has a body of " + std::to_string(message.body.size()) +
                          " bytes, and its type has none");
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
  bool truth(const char* name) {
    const Json* field = find(name);
    if (field == nullptr || !field->is_boolean()) return fail<bool>(name);
    return field->get<bool>();
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
constexpr std::size_t kMaxSandboxText = 1000;  // bytes

struct ToWire {
  WireMessage operator()(const LearnerHello& m) const {
    Json header = header_of("hello");
    header["pid"] = m.pid;
    header["config_hash"] = m.config_hash;
    header["core_type"] = m.core_type;
    header["confined"] = m.confined;
    header["sandbox"] = m.sandbox.substr(0, kMaxSandboxText);
    return {.header = to_frame(header), .body = {}};
  }
  WireMessage operator()(const FeedRequest& m) const {
    Json header = header_of("feed");
    header["from"] = m.from;
    return {.header = to_frame(header), .body = {}};
  }
  WireMessage operator()(CandidateMessage&& m) const {
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
    return {.header = to_frame(header), .body = std::move(m.weights)};
  }
  WireMessage operator()(const LearnerProgress& m) const {
    Json header = header_of("progress");
    header["through"] = m.through;
    header["rounds"] = m.rounds;
    header["aborted_rounds"] = m.aborted_rounds;
    header["trouble"] = m.trouble.substr(0, 1000);
    return {.header = to_frame(header), .body = {}};
  }
  WireMessage operator()(const LearnerWelcome& m) const {
    Json header = header_of("welcome");
    header["feature_size"] = m.feature_size;
    header["proprioception_size"] = m.proprioception_size;
    header["action_size"] = m.action_size;
    header["policy_period_ns"] = m.policy_period_ns;
    header["backbone_hash"] = m.backbone_hash;
    header["weights_folder"] = m.weights_folder;
    return {.header = to_frame(header), .body = {}};
  }
  WireMessage operator()(FeedItems&& m) const {
    Json header = header_of("items");
    header["durable"] = m.durable;
    return {.header = to_frame(header), .body = std::move(m.page)};
  }
  WireMessage operator()(const LearnerStop&) const {
    return {.header = to_frame(header_of("stop")), .body = {}};
  }
};

void put_size(std::span<std::byte> out, std::size_t size) {
  for (std::size_t i = 0; i < 4; ++i) out[i] = static_cast<std::byte>(size >> (8 * i));
}
std::size_t get_size(std::span<const std::byte> in) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < 4; ++i) size |= std::to_integer<std::size_t>(in[i]) << (8 * i);
  return size;
}

}  // namespace

WirePrefix prefix_of(const WireMessage& message) {
  WirePrefix prefix;
  put_size(std::span(prefix).first(4), message.header.size());
  put_size(std::span(prefix).last(4), message.body.size());
  return prefix;
}

std::span<std::byte> LearnerWireReader::room() {
  const std::span<std::byte> all = stage_ == Stage::kPrefix ? std::span<std::byte>(prefix_)
                                   : stage_ == Stage::kHeader
                                       ? std::span<std::byte>(message_.header)
                                       : std::span<std::byte>(message_.body);
  return all.subspan(filled_);
}

Status LearnerWireReader::took(std::size_t count) {
  filled_ += count;
  if (!room().empty()) return {};
  if (stage_ == Stage::kPrefix) {
    const std::size_t header = get_size(std::span(prefix_).first(4));
    body_size_ = get_size(std::span(prefix_).last(4));
    if (header == 0 || header > kMaxLearnerHeader) {
      return invalid_argument("learner message header has " + std::to_string(header) +
                              " bytes, and may have 1 to " + std::to_string(kMaxLearnerHeader));
    }
    if (body_size_ > max_body_) {
      return invalid_argument("learner message body has " + std::to_string(body_size_) +
                              " bytes, more than " + std::to_string(max_body_));
    }
    message_.header.resize(header);
    stage_ = Stage::kHeader;
  } else if (stage_ == Stage::kHeader && body_size_ > 0) {
    message_.body.resize(body_size_);
    stage_ = Stage::kBody;
  } else {
    stage_ = Stage::kWhole;
  }
  filled_ = 0;
  return {};
}

std::optional<WireMessage> LearnerWireReader::take() {
  if (stage_ != Stage::kWhole) return std::nullopt;
  stage_ = Stage::kPrefix;
  return std::exchange(message_, {});
}

WireMessage encode(LearnerMessage message) { return std::visit(ToWire{}, std::move(message)); }
WireMessage encode(DaemonMessage message) { return std::visit(ToWire{}, std::move(message)); }

Result<LearnerMessage> decode_learner_message(WireMessage wire) {
  Result<Json> header = parse_header(wire.header);
  if (!header.ok()) return header.status();
  const std::string type = (*header)["type"];
  Fields fields(*header);
  LearnerMessage message;
  if (type == "hello") {
    NUDGE_TRY(expect_no_body(wire));
    LearnerHello m;
    m.pid = static_cast<int>(fields.number("pid", INT32_MAX));
    m.config_hash = fields.text("config_hash", 64);
    m.core_type = fields.text("core_type", 64);
    m.confined = fields.truth("confined");
    m.sandbox = fields.text("sandbox", kMaxSandboxText);
    message = std::move(m);
  } else if (type == "feed") {
    NUDGE_TRY(expect_no_body(wire));
    FeedRequest m;
    m.from = fields.number("from", kAny);
    message = m;
  } else if (type == "candidate") {
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
    if (wire.body.size() > kMaxCandidateBytes) {
      return invalid_argument("candidate has " + std::to_string(wire.body.size()) +
                              " bytes, more than " + std::to_string(kMaxCandidateBytes));
    }
    m.weights = std::move(wire.body);
    message = std::move(m);
  } else if (type == "progress") {
    NUDGE_TRY(expect_no_body(wire));
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

Result<DaemonMessage> decode_daemon_message(WireMessage wire) {
  Result<Json> header = parse_header(wire.header);
  if (!header.ok()) return header.status();
  const std::string type = (*header)["type"];
  Fields fields(*header);
  DaemonMessage message;
  if (type == "stop") {
    NUDGE_TRY(expect_no_body(wire));
    message = LearnerStop{};
  } else if (type == "welcome") {
    NUDGE_TRY(expect_no_body(wire));
    LearnerWelcome m;
    m.feature_size = static_cast<std::uint32_t>(fields.number("feature_size", kMaxFeatures));
    m.proprioception_size = static_cast<std::uint32_t>(fields.number("proprioception_size", 256));
    m.action_size = static_cast<std::uint32_t>(fields.number("action_size", 64));
    m.policy_period_ns = fields.number("policy_period_ns", 60'000'000'000);
    m.backbone_hash = fields.text("backbone_hash", 64);
    m.weights_folder = fields.text("weights_folder", 4096);
    message = std::move(m);
  } else if (type == "items") {
    FeedItems m;
    m.durable = fields.number("durable", kAny);
    m.page = std::move(wire.body);
    message = std::move(m);
  } else {
    return invalid_argument("daemon message of unknown type '" + type.substr(0, 32) + "'");
  }
  NUDGE_TRY(fields.status());
  return message;
}

}  // namespace nudge
