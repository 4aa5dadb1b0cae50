#include "src/ports/teleop_wire.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "src/ports/json_fields.h"

namespace nudge {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kLongestName = 64;
constexpr std::size_t kLongestToken = 256;
constexpr std::size_t kMaxAckText = 8u << 10;
constexpr int kMaxAckDepth = 4;
constexpr Duration kLongestPeriod = std::chrono::seconds(60);

enum StateFlag : std::uint8_t { kMine = 1, kSuccess = 2, kRecording = 4, kDone = 8 };

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// ---- peer to daemon ----------------------------------------------------------------------------

Result<TeleopHello> hello_of(std::string_view text) {
  NUDGE_TRY(check_json_bounds(text, kMaxHello, kMaxHelloDepth).with_context("hello"));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return invalid_argument("hello is not JSON");
  Status status;
  TeleopHello hello;
  JsonFields fields(json, "hello", status);
  if (const Json* versions = fields.find("protocol")) {
    JsonFields range(*versions, "hello.protocol", status);
    hello.min_version = static_cast<int>(range.number("min", 1, 255));
    hello.max_version = static_cast<int>(range.number("max", 1, 255));
  }
  NUDGE_TRY(status);
  if (hello.min_version > kWireMajor || hello.max_version < kWireMajor) {
    return unimplemented("the peer speaks versions " + std::to_string(hello.min_version) + " to " +
                         std::to_string(hello.max_version) + " of the protocol, this daemon " +
                         std::to_string(kWireMajor) + "; install matching releases");
  }
  hello.program = fields.text("program", kLongestName);
  hello.instance = fields.text("instance", kLongestName);
  hello.name = fields.text("name", kLongestName);
  hello.token = fields.text("token", kLongestToken);
  hello.robot = fields.text("robot", kLongestName);
  hello.every = static_cast<std::uint32_t>(fields.number("every", 0, kMaxStateEvery));
  NUDGE_TRY(status);
  return hello;
}

JogCommand jog_of(WireReader& in) {
  JogCommand m;
  m.robot = in.short_text(kLongestName);
  m.epoch = in.u64();
  m.sequence = in.u64();
  m.echoed_tick = in.u64();
  const std::uint8_t dead_man = in.u8();
  in.require(dead_man <= 1, "the dead-man is neither 0 nor 1");
  in.require(in.u8() == 0, "a reserved field is not 0");
  const std::size_t count = in.u16();
  in.require(count > 0 && count <= kMaxActionChannels, "a jog's size is out of range");
  m.dead_man = dead_man == 1;
  m.action = in.floats(count);
  if (in.minor() >= 1) {
    const std::size_t joints = in.u16();
    in.require(joints <= kMaxActionChannels, "a leader arm has too many joints");
    in.require(in.u16() == 0, "a reserved field is not 0");
    m.leader = in.floats(joints);
  }
  return m;
}

// ---- daemon to peer ----------------------------------------------------------------------------

Role role_of(WireReader& in) {
  const std::uint8_t role = in.u8();
  in.require(role <= static_cast<std::uint8_t>(Role::kEngineer), "a role is unknown");
  return static_cast<Role>(std::min(role, static_cast<std::uint8_t>(Role::kEngineer)));
}

Duration duration_of(WireReader& in) {
  const std::uint64_t value = in.u64();
  in.require(value <= static_cast<std::uint64_t>(kLongestPeriod.count()),
             "a duration is out of range");
  return Duration(static_cast<std::int64_t>(
      std::min<std::uint64_t>(value, static_cast<std::uint64_t>(kLongestPeriod.count()))));
}

TeleopWelcome welcome_of(WireReader& in) {
  TeleopWelcome m;
  m.version = in.u16();
  m.role = role_of(in);
  in.require(in.u8() == 0, "a reserved field is not 0");
  m.action_size = in.u16();
  m.control_period = duration_of(in);
  m.policy_period = duration_of(in);
  m.fresh = duration_of(in);
  m.name = in.short_text(kLongestName);
  m.program = in.short_text(kLongestName);
  m.robot = in.short_text(kLongestName);
  in.require(m.action_size > 0 && m.action_size <= kMaxActionChannels,
             "an action's size is out of range");
  return m;
}

TeleopState state_of(WireReader& in) {
  TeleopState m;
  m.tick = in.u64();
  m.now = in.instant();
  m.observed = in.instant();
  const std::uint8_t state = in.u8();
  const std::uint8_t source = in.u8();
  in.require(state <= static_cast<std::uint8_t>(AuthorityState::kEstop), "a state is unknown");
  in.require(source <= static_cast<std::uint8_t>(ControlSource::kScript), "a source is unknown");
  m.state = static_cast<AuthorityState>(state);
  m.source = static_cast<ControlSource>(source);
  const std::uint8_t flags = in.u8();
  in.require(flags < 16, "an unknown flag is set");
  m.mine = (flags & kMine) != 0;
  m.success = (flags & kSuccess) != 0;
  m.recording = (flags & kRecording) != 0;
  m.last_success = (flags & kDone) != 0;
  m.holder_role = role_of(in);
  m.policy_step = in.u32();
  m.autonomous = in.u32();
  m.step_limit = in.u32();
  m.epoch = in.u64();
  m.episode = in.u64();
  m.playing = in.u64();
  m.holder = in.short_text(kLongestName);
  const std::size_t proprioception = in.u16();
  const std::size_t object_state = in.u16();
  in.require(proprioception <= kMaxChannels && object_state <= kMaxChannels,
             "a state has too many channels");
  m.proprioception = in.floats(proprioception);
  m.object_state = in.floats(object_state);
  return m;
}

Code code_of(std::string_view name) {
  for (int number = 0; number <= static_cast<int>(Code::kInternal); ++number) {
    if (to_string(static_cast<Code>(number)) == name) return static_cast<Code>(number);
  }
  return Code::kInternal;
}

Result<Ack> ack_of(std::string_view text) {
  NUDGE_TRY(check_json_bounds(text, kMaxAckText, kMaxAckDepth).with_context("ack"));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return invalid_argument("ack is not a JSON object");
  const auto word = [&](const char* name) {
    const auto it = json.find(name);
    return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  Ack ack;
  ack.id = word("id");
  ack.echo = word("echo");
  ack.holder = word("holder");
  if (ack.id.size() > kLongestName || ack.holder.size() > kLongestName) {
    return invalid_argument("ack has an id or a holder of more than 64 bytes");
  }
  const auto epoch = json.find("epoch");
  if (epoch != json.end() && epoch->is_number_unsigned()) ack.epoch = epoch->get<LeaseEpoch>();
  const auto ok = json.find("ok");
  if (ok == json.end() || !ok->is_boolean()) return invalid_argument("ack lacks 'ok'");
  if (!ok->get<bool>()) {
    // Whatever the code says: what was not done is no success.
    const Code code = code_of(word("code"));
    ack.status = Status(code == Code::kOk ? Code::kInternal : code, word("message"));
  }
  return ack;
}

std::string text_of(const Ack& ack) {
  Json json = {{"type", "ack"},
               {"id", ack.id},
               {"ok", ack.status.ok()},
               {"code", to_string(ack.status.code())},
               {"message", ack.status.message()},
               {"echo", ack.echo},
               {"epoch", ack.epoch},
               {"holder", ack.holder}};
  std::string text = dump(json);
  if (text.size() > kMaxAckText) {
    // Words are echoed, and escaping makes them long; what was decided is what matters.
    json["echo"] = "";
    json["message"] = ack.status.message().substr(0, 256);
    text = dump(json);
  }
  return text;
}

std::string_view label_name(LabelValue value) {
  constexpr std::array<std::string_view, 4> kNames = {"none", "success", "failure", "discard"};
  return kNames[std::min<std::size_t>(static_cast<std::size_t>(value), kNames.size() - 1)];
}

}  // namespace

Status encode(const TeleopMessage& message, std::uint32_t session, WireBytes& out) {
  return std::visit(
      Overloaded{
          [&](const TeleopHello& m) {
            const std::string text =
                dump({{"protocol", {{"min", m.min_version}, {"max", m.max_version}}},
                      {"program", m.program},
                      {"instance", m.instance},
                      {"name", m.name},
                      {"token", m.token},
                      {"robot", m.robot},
                      {"every", m.every}});
            if (text.size() > kMaxHello) return invalid_argument("the hello is above 16 KiB");
            WireWriter(out, WireType::kTeleopHello, session).text(text);
            return Status();
          },
          [&](const JogCommand& m) {
            if (m.action.empty() || m.action.size() > kMaxActionChannels) {
              return invalid_argument("a jog has " + std::to_string(m.action.size()) + " values");
            }
            if (m.leader.size() > kMaxActionChannels) {
              return invalid_argument("a leader arm has " + std::to_string(m.leader.size()) +
                                      " joints");
            }
            const bool leads = !m.leader.empty();
            WireWriter w(out, WireType::kTeleopJog, session, leads ? 1 : 0);
            w.short_text(m.robot, kLongestName);
            w.u64(m.epoch);
            w.u64(m.sequence);
            w.u64(m.echoed_tick);
            w.u8(m.dead_man ? 1 : 0);
            w.u8(0);
            w.u16(static_cast<std::uint16_t>(m.action.size()));
            w.floats(m.action);
            if (leads) {
              w.u16(static_cast<std::uint16_t>(m.leader.size()));
              w.u16(0);
              w.floats(m.leader);
            }
            return Status();
          },
          [&](const TeleopFeedback& m) {
            if (m.text.size() > kMaxTeleopText) {
              return invalid_argument("a message may have at most 64 KiB");
            }
            WireWriter(out, WireType::kTeleopFeedback, session).text(m.text);
            return Status();
          },
          [&](const TeleopAlive&) {
            WireWriter(out, WireType::kTeleopAlive, session);
            return Status();
          },
          [&](const TeleopBye&) {
            WireWriter(out, WireType::kTeleopBye, session);
            return Status();
          },
      },
      message);
}

Status encode(const TeleopState& m, std::uint32_t session, WireBytes& out) {
  if (m.proprioception.size() > kMaxChannels || m.object_state.size() > kMaxChannels) {
    return invalid_argument("a state has too many channels");
  }
  WireWriter w(out, WireType::kTeleopState, session);
  w.u64(m.tick);
  w.instant(m.now);
  w.instant(m.observed);
  w.u8(static_cast<std::uint8_t>(m.state));
  w.u8(static_cast<std::uint8_t>(m.source));
  w.u8(static_cast<std::uint8_t>((m.mine ? kMine : 0) | (m.success ? kSuccess : 0) |
                                 (m.recording ? kRecording : 0) | (m.last_success ? kDone : 0)));
  w.u8(static_cast<std::uint8_t>(m.holder_role));
  w.u32(m.policy_step);
  w.u32(m.autonomous);
  w.u32(m.step_limit);
  w.u64(m.epoch);
  w.u64(m.episode);
  w.u64(m.playing);
  w.short_text(m.holder, kLongestName);
  w.u16(static_cast<std::uint16_t>(m.proprioception.size()));
  w.u16(static_cast<std::uint16_t>(m.object_state.size()));
  w.floats(m.proprioception);
  w.floats(m.object_state);
  return {};
}

Status encode(const TeleopReply& message, std::uint32_t session, WireBytes& out) {
  return std::visit(Overloaded{
                        [&](const TeleopWelcome& m) {
                          WireWriter w(out, WireType::kTeleopWelcome, session);
                          w.u16(m.version);
                          w.u8(static_cast<std::uint8_t>(m.role));
                          w.u8(0);
                          w.u16(m.action_size);
                          w.u64(static_cast<std::uint64_t>(m.control_period.count()));
                          w.u64(static_cast<std::uint64_t>(m.policy_period.count()));
                          w.u64(static_cast<std::uint64_t>(m.fresh.count()));
                          w.short_text(m.name, kLongestName);
                          w.short_text(m.program, kLongestName);
                          w.short_text(m.robot, kLongestName);
                          return Status();
                        },
                        [&](const Refusal& m) {
                          WireWriter w(out, WireType::kTeleopRefusal, session);
                          w.u16(static_cast<std::uint16_t>(m.reason));
                          w.short_text(m.text, kMaxRefusalText);
                          return Status();
                        },
                        [&](const TeleopState& m) { return encode(m, session, out); },
                        [&](const Ack& m) {
                          WireWriter(out, WireType::kTeleopAck, session).text(text_of(m));
                          return Status();
                        },
                    },
                    message);
}

Result<Framed<TeleopMessage>> decode_teleop_message(std::span<const std::byte> frame) {
  if (frame.size() > kMaxTeleopMessage) return invalid_argument("a message is above 64 KiB");
  Result<WireReader> opened = WireReader::open(frame);
  if (!opened.ok()) return opened.status();
  WireReader& in = *opened;
  Framed<TeleopMessage> framed{in.session(), TeleopAlive{}};
  switch (static_cast<WireType>(in.type())) {
    case WireType::kTeleopHello: {
      // Whatever the header's version: the hello itself says which ones the peer speaks.
      Result<TeleopHello> hello = hello_of(in.rest());
      if (!hello.ok()) return hello.status();
      framed.message = *std::move(hello);
      return framed;
    }
    case WireType::kTeleopFeedback: {
      framed.message = TeleopFeedback{std::string(in.rest())};
      (void)in.bytes(in.left());
      break;
    }
    case WireType::kTeleopJog: framed.message = jog_of(in); break;
    case WireType::kTeleopAlive: framed.message = TeleopAlive{}; break;
    case WireType::kTeleopBye: framed.message = TeleopBye{}; break;
    default:
      return invalid_argument("message of type " + std::to_string(in.type()) +
                              " is none of a teleoperation peer's");
  }
  NUDGE_TRY(in.finish());
  return framed;
}

Result<Framed<TeleopReply>> decode_teleop_reply(std::span<const std::byte> frame) {
  if (frame.size() > kMaxTeleopReply) return invalid_argument("a reply is above 16 KiB");
  Result<WireReader> opened = WireReader::open(frame);
  if (!opened.ok()) return opened.status();
  WireReader& in = *opened;
  Framed<TeleopReply> framed{in.session(), Refusal{}};
  switch (static_cast<WireType>(in.type())) {
    case WireType::kTeleopWelcome: framed.message = welcome_of(in); break;
    case WireType::kTeleopRefusal: {
      Refusal m;
      m.reason = static_cast<RefusalReason>(in.u16());
      m.text = in.short_text(kMaxRefusalText);
      framed.message = std::move(m);
      break;
    }
    case WireType::kTeleopState: framed.message = state_of(in); break;
    case WireType::kTeleopAck: {
      Result<Ack> ack = ack_of(in.rest());
      if (!ack.ok()) return ack.status();
      framed.message = *std::move(ack);
      (void)in.bytes(in.left());
      break;
    }
    default:
      return invalid_argument("message of type " + std::to_string(in.type()) +
                              " is no reply to a teleoperation peer");
  }
  NUDGE_TRY(in.finish());
  return framed;
}

Result<std::string> feedback_text(const FeedbackMessage& message) {
  Json json = {{"id", message.id}};
  bool known = true;
  std::visit(Overloaded{
                 [&](const TakeoverRequest&) { json["type"] = "takeover"; },
                 [&](const JogCommand&) { known = false; },
                 [&](const Release&) { json["type"] = "release"; },
                 [&](const HandBack&) { json["type"] = "hand_back"; },
                 [&](const Stop&) { json["type"] = "stop"; },
                 [&](const ResetStop&) { json["type"] = "reset_stop"; },
                 [&](const ResetFault&) { json["type"] = "reset_fault"; },
                 [&](const Hold&) { json["type"] = "hold"; },
                 [&](const WordsMessage& m) {
                   json["type"] = "words";
                   json["text"] = m.text;
                   json["meant"] = m.meant == WordsUse::kComment ? "comment" : "instruction";
                   if (m.view) json["view"] = *m.view == Viewpoint::kBehind ? "behind" : "facing";
                 },
                 [&](const ConfirmWords& m) {
                   json["type"] = "confirm_words";
                   json["words"] = m.words;
                 },
                 [&](const UndoWords& m) {
                   json["type"] = "undo_words";
                   json["words"] = m.words;
                 },
                 [&](const LabelMessage& m) {
                   json["type"] = "label";
                   json["episode"] = m.episode;
                   json["span"] = m.span;
                   json["value"] = label_name(m.value);
                 },
                 [&](const UndoLast& m) {
                   json["type"] = "undo";
                   json["seconds"] = m.seconds;
                 },
                 [&](const SplitSpan& m) {
                   json["type"] = "split";
                   json["span"] = m.span;
                   json["step"] = m.step;
                 },
                 [&](const EndEpisode&) { json["type"] = "end_episode"; },
                 [&](const DeclineHelp& m) {
                   json["type"] = "decline_help";
                   json["help"] = m.help;
                 },
             },
             message.body);
  if (!known) return invalid_argument("a jog has a message of its own");
  return dump(json);
}

}  // namespace nudge
