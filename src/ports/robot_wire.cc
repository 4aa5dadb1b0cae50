#include "src/ports/robot_wire.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "src/ports/json_fields.h"

namespace nudge {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kLongestName = 64;  // of robots, channels, cameras, programs
constexpr std::size_t kLongestUnit = 16;
constexpr std::size_t kMaxCapabilities = 16;
constexpr std::size_t kLongestReport = 256;
constexpr Duration kOldest = std::chrono::seconds(60);
constexpr int kMaxPixels = 8192;  // of a side
constexpr Duration kLongestControlPeriod = std::chrono::milliseconds(20);
constexpr Duration kLongestPolicyPeriod = std::chrono::seconds(60);

enum ObservationFlag : std::uint32_t { kSuccess = 1, kEstopped = 2, kHolding = 4 };
// A bound of a hello's JSON may be short, "0.1", and is written with all the digits of its float: a
// spec is longer than the hello that it came with, by a factor below 3.
constexpr std::uint8_t kMinorOver = 1;  // the minor version that appended RobotObservation::over

// ---- the spec as JSON --------------------------------------------------------------------------

Json to_json(const std::vector<Channel>& channels) {
  Json list = Json::array();
  for (const Channel& channel : channels) {
    Json item = {{"name", channel.name},
                 {"unit", channel.unit},
                 {"lower", channel.lower},
                 {"upper", channel.upper}};
    if (channel.absolute) item["absolute"] = true;
    if (channel.gripper) item["gripper"] = true;
    list.push_back(std::move(item));
  }
  return list;
}

Json to_json(const RobotSpec& spec) {
  Json cameras = Json::array();
  for (const CameraSpec& camera : spec.observation.cameras) {
    cameras.push_back({{"name", camera.name}, {"width", camera.width}, {"height", camera.height}});
  }
  return {{"id", spec.id},
          {"control_period_ns", spec.control_period.count()},
          {"policy_period_ns", spec.policy_period.count()},
          {"proprioception", to_json(spec.observation.proprioception)},
          {"object_state", to_json(spec.observation.object_state)},
          {"cameras", std::move(cameras)},
          {"action", to_json(spec.action.channels)}};
}

std::vector<Channel> channels_of(JsonFields& fields, const char* name, std::size_t limit,
                                 Status& status) {
  std::vector<Channel> channels;
  if (!fields.has(name)) return channels;
  const Json& list = fields.list(name, limit);
  for (std::size_t i = 0; i < list.size() && status.ok(); ++i) {
    JsonFields item(list[i], fields.place(name, i), status);
    Channel channel;
    channel.name = item.text("name", kLongestName);
    channel.unit = item.text("unit", kLongestUnit);
    channel.lower = item.real("lower");
    channel.upper = item.real("upper");
    channel.absolute = item.has("absolute") && item.flag("absolute");
    channel.gripper = item.has("gripper") && item.flag("gripper");
    channels.push_back(std::move(channel));
  }
  return channels;
}

RobotSpec spec_of(const Json& object, const char* where, Status& status) {
  RobotSpec spec;
  JsonFields fields(object, where, status);
  spec.id = fields.text("id", kLongestName);
  spec.control_period =
      Duration(fields.number("control_period_ns", 1, kLongestControlPeriod.count()));
  spec.policy_period = Duration(fields.number("policy_period_ns", 1, kLongestPolicyPeriod.count()));
  spec.observation.proprioception = channels_of(fields, "proprioception", kMaxChannels, status);
  spec.observation.object_state = channels_of(fields, "object_state", kMaxChannels, status);
  spec.action.channels = channels_of(fields, "action", kMaxActionChannels, status);
  static const Json kNone = Json::array();
  const Json& cameras = fields.has("cameras") ? fields.list("cameras", kMaxWireCameras) : kNone;
  for (std::size_t i = 0; i < cameras.size() && status.ok(); ++i) {
    JsonFields item(cameras[i], fields.place("cameras", i), status);
    CameraSpec camera;
    camera.name = item.text("name", kLongestName);
    camera.width = static_cast<int>(item.number("width", 1, kMaxPixels));
    camera.height = static_cast<int>(item.number("height", 1, kMaxPixels));
    spec.observation.cameras.push_back(std::move(camera));
  }
  if (status.ok()) status = validate(spec);
  return spec;
}

Result<RobotHello> hello_of(std::string_view text) {
  NUDGE_TRY(check_json_bounds(text, kMaxHello, kMaxHelloDepth).with_context("hello"));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return invalid_argument("hello is not JSON");
  Status status;
  RobotHello hello;
  JsonFields fields(json, "hello", status);
  if (const Json* versions = fields.find("protocol")) {
    JsonFields range(*versions, "hello.protocol", status);
    hello.min_version = static_cast<int>(range.number("min", 1, 255));
    hello.max_version = static_cast<int>(range.number("max", 1, 255));
  }
  NUDGE_TRY(status);
  if (hello.min_version > kWireMajor || hello.max_version < kWireMajor) {
    return unimplemented("the robot speaks versions " + std::to_string(hello.min_version) + " to " +
                         std::to_string(hello.max_version) + " of the protocol, this daemon " +
                         std::to_string(kWireMajor) + "; install matching releases");
  }
  hello.program = fields.text("program", kLongestName);
  hello.instance = fields.text("instance", kLongestName);
  hello.estopped = fields.flag("estopped");
  for (const Json& item : fields.list("capabilities", kMaxCapabilities)) {
    if (item.is_string() && printable_name(item.get_ref<const std::string&>(), 32)) {
      hello.capabilities.push_back(item.get<std::string>());
    }
  }
  if (const Json* robot = fields.find("robot")) hello.spec = spec_of(*robot, "hello.robot", status);
  NUDGE_TRY(status);
  return hello;
}

Status encode_hello(const RobotHello& hello, std::uint32_t session, WireBytes& out) {
  NUDGE_TRY(validate(hello.spec));
  const Json json = {{"protocol", {{"min", hello.min_version}, {"max", hello.max_version}}},
                     {"program", hello.program},
                     {"instance", hello.instance},
                     {"capabilities", hello.capabilities},
                     {"estopped", hello.estopped},
                     {"robot", to_json(hello.spec)}};
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kMaxHello) {
    return invalid_argument("the robot's spec takes " + std::to_string(text.size()) +
                            " bytes, more than " + std::to_string(kMaxHello) +
                            "; shorten the names of its channels");
  }
  WireWriter(out, WireType::kRobotHello, session).text(text);
  return {};
}

// ---- the fixed bodies --------------------------------------------------------------------------

RobotObservation observation_of(WireReader& in) {
  RobotObservation m;
  m.tick = in.u64();
  m.time = in.instant();
  m.sent = in.instant();
  m.applied = in.u64();
  const std::uint32_t flags = in.u32();
  const std::size_t proprioception = in.u16();
  const std::size_t object_state = in.u16();
  const std::size_t frames = in.u16();
  in.require(in.u16() == 0, "a reserved field is not 0");
  in.require(m.tick > 0, "an observation's tick is 0");
  in.require(m.time <= m.sent && m.sent - m.time <= kOldest,
             "an observation was not read within the 60 s before it was sent");
  in.require(flags < 8, "an unknown flag is set");
  in.require(proprioception <= kMaxChannels && object_state <= kMaxChannels,
             "an observation has too many channels");
  in.require(frames <= kMaxWireCameras, "an observation has too many frames");
  m.success = (flags & kSuccess) != 0;
  m.estopped = (flags & kEstopped) != 0;
  m.holding = (flags & kHolding) != 0;
  const bool with_over = in.minor() >= kMinorOver;
  m.proprioception = in.floats(proprioception);
  m.object_state = in.floats(object_state);
  for (std::size_t i = 0; i < frames && in.left() > 0; ++i) {
    CameraFrame frame;
    frame.camera = in.u16();
    frame.width = in.u16();
    frame.height = in.u16();
    in.require(in.u16() == 0, "a reserved field is not 0");
    frame.captured = in.instant();
    in.require(frame.captured <= m.sent && m.sent - frame.captured <= kOldest,
               "a frame was not captured within the 60 s before it was sent");
    const std::size_t size = in.u32();
    in.require(frame.camera < kMaxWireCameras, "a frame is of no camera");
    in.require(frame.width > 0 && frame.height > 0 && frame.width <= kMaxPixels &&
                   frame.height <= kMaxPixels,
               "a frame has no size");
    in.require(size > 0, "a frame is empty");
    frame.jpeg = in.bytes(size);
    m.frames.push_back(std::move(frame));
  }
  in.require(m.frames.size() == frames, "it is cut off");
  if (with_over) {
    const std::uint16_t over = in.u16();
    in.require(over <= static_cast<std::uint16_t>(Over::kTruncated),
               "an episode is over in an unknown way");
    m.over = static_cast<Over>(over);
  }
  return m;
}

RobotReport report_of(WireReader& in) {
  RobotReport m;
  m.request = in.u32();
  const std::uint16_t of = in.u16();
  in.require(of >= 1 && of <= 3, "a report is of nothing known");
  m.of = static_cast<RobotReport::Of>(of);
  const Code code = code_of_wire(in.u16());
  std::string text = in.short_text(kLongestReport);
  if (code != Code::kOk) m.status = Status(code, std::move(text));
  return m;
}

RobotAction action_of(WireReader& in) {
  RobotAction m;
  m.sequence = in.u64();
  m.tick = in.u64();
  const std::uint64_t deadline = in.u64();
  const std::size_t count = in.u16();
  in.require(in.u16() == 0, "a reserved field is not 0");
  in.require(m.sequence > 0, "an action's sequence is 0");
  in.require(deadline > 0 && deadline <= static_cast<std::uint64_t>(kLongestDeadline.count()),
             "an action's deadline is out of range");
  in.require(count > 0 && count <= kMaxActionChannels, "an action's size is out of range");
  m.deadline = Duration(static_cast<std::int64_t>(
      std::min<std::uint64_t>(deadline, static_cast<std::uint64_t>(kLongestDeadline.count()))));
  m.action = in.floats(count);
  in.require(
      std::all_of(m.action.begin(), m.action.end(), [](float v) { return std::isfinite(v); }),
      "an action is not finite");
  return m;
}

struct ToBytes {
  std::uint32_t session;
  WireBytes& out;

  Status operator()(const RobotHello& m) const { return encode_hello(m, session, out); }
  Status operator()(const RobotObservation& m) const { return encode(m, session, out); }
  Status operator()(const RobotReport& m) const {
    WireWriter w(out, WireType::kRobotReport, session);
    w.u32(m.request);
    w.u16(static_cast<std::uint16_t>(m.of));
    w.u16(wire_code(m.status.code()));
    w.short_text(m.status.message(), kLongestReport);
    return {};
  }
  Status operator()(const RobotWelcome& m) const {
    WireWriter w(out, WireType::kRobotWelcome, session);
    w.u16(m.version);
    w.short_text(m.program, kLongestName);
    return {};
  }
  Status operator()(const Refusal& m) const {
    WireWriter w(out, WireType::kRobotRefusal, session);
    w.u16(static_cast<std::uint16_t>(m.reason));
    w.short_text(m.text, kMaxRefusalText);
    return {};
  }
  Status operator()(const RobotAction& m) const {
    if (m.action.empty() || m.action.size() > kMaxActionChannels) {
      return invalid_argument("an action has " + std::to_string(m.action.size()) + " values");
    }
    if (m.deadline <= Duration::zero() || m.deadline > kLongestDeadline) {
      return invalid_argument("an action's deadline must be above 0 and at most 1 s");
    }
    WireWriter w(out, WireType::kRobotAction, session);
    w.u64(m.sequence);
    w.u64(m.tick);
    w.u64(static_cast<std::uint64_t>(m.deadline.count()));
    w.u16(static_cast<std::uint16_t>(m.action.size()));
    w.u16(0);
    w.floats(m.action);
    return {};
  }
  Status operator()(const RobotHold&) const {
    const WireWriter whole(out, WireType::kRobotHold, session);  // the header is all of it
    return {};
  }
  Status operator()(const RobotEstop&) const {
    const WireWriter whole(out, WireType::kRobotEstop, session);  // the header is all of it
    return {};
  }
  Status operator()(const RobotResetEstop& m) const {
    WireWriter(out, WireType::kRobotResetEstop, session).u32(m.request);
    return {};
  }
  Status operator()(const RobotReset& m) const {
    WireWriter w(out, WireType::kRobotReset, session);
    w.u32(m.request);
    w.u64(m.seed);
    return {};
  }
};

Status validate_channels(const std::vector<Channel>& channels, std::size_t limit,
                         const std::string& what) {
  if (channels.size() > limit) {
    return invalid_argument(what + " has " + std::to_string(channels.size()) +
                            " channels, more than " + std::to_string(limit));
  }
  for (std::size_t i = 0; i < channels.size(); ++i) {
    const Channel& channel = channels[i];
    const std::string where = what + " channel " + std::to_string(i);
    if (!printable_name(channel.name, kLongestName)) {
      return invalid_argument(where + " needs a name of 1 to 64 printable bytes");
    }
    if (!printable_name(channel.unit, kLongestUnit)) {
      return invalid_argument(where + " needs a unit of 1 to 16 printable bytes");
    }
    if (!std::isfinite(channel.lower) || !std::isfinite(channel.upper) ||
        channel.lower > channel.upper) {
      return invalid_argument(where + " needs finite bounds, the lower one first");
    }
    const auto same =
        std::find_if(channels.begin(), channels.begin() + static_cast<std::ptrdiff_t>(i),
                     [&](const Channel& other) { return other.name == channel.name; });
    if (same != channels.begin() + static_cast<std::ptrdiff_t>(i)) {
      return invalid_argument(where + " is called '" + channel.name + "' like channel " +
                              std::to_string(same - channels.begin()) +
                              "; give each a name of its own");
    }
  }
  return {};
}

// What a position is made of, and kept in.
Status validate_absolute(const RobotSpec& spec) {
  for (std::size_t i = 0; i < spec.action.channels.size(); ++i) {
    const Channel& channel = spec.action.channels[i];
    if (!channel.absolute) continue;
    const auto& seen = spec.observation.proprioception;
    const bool measured = std::any_of(seen.begin(), seen.end(), [&](const Channel& c) {
      return c.name == channel.name && c.unit + "/s" == channel.unit;
    });
    if (!measured) {
      return invalid_argument("action channel " + std::to_string(i) + " ('" + channel.name +
                              "') is absolute and in " + channel.unit +
                              ", so proprioception needs a channel of the same name with its "
                              "position, in that unit without /s");
    }
  }
  return {};
}

std::string difference(const std::vector<Channel>& now, const std::vector<Channel>& before,
                       const std::string& what) {
  if (now.size() != before.size()) {
    return what + " has " + std::to_string(now.size()) + " channels, not " +
           std::to_string(before.size());
  }
  for (std::size_t i = 0; i < now.size(); ++i) {
    const Channel& a = now[i];
    const Channel& b = before[i];
    const std::string where = what + " channel " + std::to_string(i);
    if (a.name != b.name) return where + " is '" + a.name + "', not '" + b.name + "'";
    if (a.unit != b.unit) return where + " is in " + a.unit + ", not in " + b.unit;
    if (a.absolute != b.absolute) {
      return where + " takes " + (a.absolute ? "positions, not rates" : "rates, not positions");
    }
    if (a.gripper != b.gripper) {
      return where + (a.gripper ? " is a gripper, not an axis" : " is an axis, not a gripper");
    }
    if (a.lower != b.lower || a.upper != b.upper) {
      return where + " goes from " + std::to_string(a.lower) + " to " + std::to_string(a.upper) +
             ", not from " + std::to_string(b.lower) + " to " + std::to_string(b.upper);
    }
  }
  return {};
}

}  // namespace

Status encode(const RobotObservation& m, std::uint32_t session, WireBytes& out) {
  std::size_t frame_bytes = 0;
  for (const CameraFrame& frame : m.frames) frame_bytes += frame.jpeg.size() + 32;
  if (m.proprioception.size() > kMaxChannels || m.object_state.size() > kMaxChannels ||
      m.frames.size() > kMaxWireCameras) {
    return invalid_argument("an observation has too many channels or frames");
  }
  if (frame_bytes > kMaxRobotMessage - 4096) {
    return invalid_argument("an observation's frames take " + std::to_string(frame_bytes) +
                            " bytes, more than 16 MiB; compress them more");
  }
  // Only where it says something: a daemon that does not know the field reads past it.
  const bool with_over = m.over != Over::kNo;
  WireWriter w(out, WireType::kRobotObservation, session, with_over ? kMinorOver : 0);
  w.u64(m.tick);
  w.instant(m.time);
  w.instant(m.sent);
  w.u64(m.applied);
  w.u32((m.success ? kSuccess : 0u) | (m.estopped ? kEstopped : 0u) | (m.holding ? kHolding : 0u));
  w.u16(static_cast<std::uint16_t>(m.proprioception.size()));
  w.u16(static_cast<std::uint16_t>(m.object_state.size()));
  w.u16(static_cast<std::uint16_t>(m.frames.size()));
  w.u16(0);
  w.floats(m.proprioception);
  w.floats(m.object_state);
  for (const CameraFrame& frame : m.frames) {
    w.u16(frame.camera);
    w.u16(frame.width);
    w.u16(frame.height);
    w.u16(0);
    w.instant(frame.captured);
    w.u32(static_cast<std::uint32_t>(frame.jpeg.size()));
    w.bytes(frame.jpeg);
  }
  if (with_over) w.u16(static_cast<std::uint16_t>(m.over));
  return {};
}

Status encode(const RobotMessage& message, std::uint32_t session, WireBytes& out) {
  return std::visit(ToBytes{session, out}, message);
}
Status encode(const RobotCommand& message, std::uint32_t session, WireBytes& out) {
  return std::visit(ToBytes{session, out}, message);
}

Result<Framed<RobotMessage>> decode_robot_message(std::span<const std::byte> frame) {
  if (frame.size() > kMaxRobotMessage) return invalid_argument("a message is above 16 MiB");
  Result<WireReader> opened = WireReader::open(frame);
  if (!opened.ok()) return opened.status();
  WireReader& in = *opened;
  Framed<RobotMessage> framed{in.session(), {}};
  switch (static_cast<WireType>(in.type())) {
    case WireType::kRobotHello: {
      // Whatever the header's version: the hello itself says which ones the peer speaks.
      Result<RobotHello> hello = hello_of(in.rest());
      if (!hello.ok()) return hello.status();
      framed.message = *std::move(hello);
      return framed;
    }
    case WireType::kRobotObservation: framed.message = observation_of(in); break;
    case WireType::kRobotReport: framed.message = report_of(in); break;
    default:
      return invalid_argument("message of type " + std::to_string(in.type()) +
                              " is none of a robot's");
  }
  NUDGE_TRY(in.finish());
  return framed;
}

Result<Framed<RobotCommand>> decode_robot_command(std::span<const std::byte> frame) {
  if (frame.size() > kMaxRobotCommand) return invalid_argument("a command is above 4 KiB");
  Result<WireReader> opened = WireReader::open(frame);
  if (!opened.ok()) return opened.status();
  WireReader& in = *opened;
  Framed<RobotCommand> framed{in.session(), {}};
  switch (static_cast<WireType>(in.type())) {
    case WireType::kRobotWelcome: {
      RobotWelcome m;
      m.version = in.u16();
      m.program = in.short_text(kLongestName);
      framed.message = std::move(m);
      break;
    }
    case WireType::kRobotRefusal: {
      Refusal m;
      m.reason = static_cast<RefusalReason>(in.u16());
      m.text = in.short_text(kMaxRefusalText);
      framed.message = std::move(m);
      break;
    }
    case WireType::kRobotAction: framed.message = action_of(in); break;
    case WireType::kRobotHold: framed.message = RobotHold{}; break;
    case WireType::kRobotEstop: framed.message = RobotEstop{}; break;
    case WireType::kRobotResetEstop: framed.message = RobotResetEstop{in.u32()}; break;
    case WireType::kRobotReset: {
      RobotReset m;
      m.request = in.u32();
      m.seed = in.u64();
      framed.message = m;
      break;
    }
    default:
      return invalid_argument("message of type " + std::to_string(in.type()) +
                              " is no command to a robot");
  }
  NUDGE_TRY(in.finish());
  return framed;
}

Status validate(const RobotSpec& spec) {
  if (!printable_name(spec.id, kLongestName)) {
    return invalid_argument("a robot's id must be 1 to 64 printable bytes");
  }
  if (spec.control_period <= Duration::zero() || spec.control_period > kLongestControlPeriod) {
    return invalid_argument("a robot's control period must be above 0 and at most 20 ms");
  }
  if (spec.policy_period < spec.control_period || spec.policy_period > kLongestPolicyPeriod ||
      spec.policy_period % spec.control_period != Duration::zero()) {
    return invalid_argument(
        "a robot's policy period must be a multiple of its control period, at most 60 s");
  }
  if (spec.action.channels.empty()) return invalid_argument("a robot needs an action channel");
  NUDGE_TRY(validate_channels(spec.observation.proprioception, kMaxChannels, "proprioception"));
  NUDGE_TRY(validate_channels(spec.observation.object_state, kMaxChannels, "object_state"));
  NUDGE_TRY(validate_channels(spec.action.channels, kMaxActionChannels, "action"));
  NUDGE_TRY(validate_absolute(spec));
  if (spec.observation.cameras.size() > kMaxWireCameras) {
    return invalid_argument("a robot may have at most 16 cameras");
  }
  for (const CameraSpec& camera : spec.observation.cameras) {
    if (!printable_name(camera.name, kLongestName) || camera.width < 1 || camera.height < 1 ||
        camera.width > kMaxPixels || camera.height > kMaxPixels) {
      return invalid_argument(
          "a camera needs a name of 1 to 64 printable bytes and sides of 1 to " +
          std::to_string(kMaxPixels) + " pixels");
    }
    const auto of_name = [&](const CameraSpec& other) { return other.name == camera.name; };
    if (std::ranges::count_if(spec.observation.cameras, of_name) > 1) {
      return invalid_argument("two cameras are called '" + camera.name +
                              "'; give each a name of its own");
    }
  }
  return {};
}

std::string spec_text(const RobotSpec& spec) {
  return to_json(spec).dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<RobotSpec> parse_spec(std::string_view text) {
  NUDGE_TRY(check_json_bounds(text, kMaxSpecText, kMaxHelloDepth).with_context("the robot's spec"));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return invalid_argument("the robot's spec is not JSON");
  Status status;
  RobotSpec spec = spec_of(json, "robot", status);
  NUDGE_TRY(status);
  return spec;
}

std::string difference(const RobotSpec& now, const RobotSpec& before) {
  if (now.id != before.id) return "its id is '" + now.id + "', not '" + before.id + "'";
  if (now.control_period != before.control_period) {
    return "its control period is " + std::to_string(now.control_period.count()) + " ns, not " +
           std::to_string(before.control_period.count());
  }
  if (now.policy_period != before.policy_period) {
    return "its policy period is " + std::to_string(now.policy_period.count()) + " ns, not " +
           std::to_string(before.policy_period.count());
  }
  const ObservationSpec &a = now.observation, &b = before.observation;
  std::string found = difference(a.proprioception, b.proprioception, "proprioception");
  if (found.empty()) found = difference(a.object_state, b.object_state, "object_state");
  if (found.empty()) found = difference(now.action.channels, before.action.channels, "action");
  if (!found.empty()) return found;
  if (a.cameras.size() != b.cameras.size()) {
    return "it has " + std::to_string(a.cameras.size()) + " cameras, not " +
           std::to_string(b.cameras.size());
  }
  for (std::size_t i = 0; i < a.cameras.size(); ++i) {
    if (a.cameras[i].name != b.cameras[i].name || a.cameras[i].width != b.cameras[i].width ||
        a.cameras[i].height != b.cameras[i].height) {
      return "camera " + std::to_string(i) + " is '" + a.cameras[i].name + "' (" +
             std::to_string(a.cameras[i].width) + "x" + std::to_string(a.cameras[i].height) +
             "), not '" + b.cameras[i].name + "' (" + std::to_string(b.cameras[i].width) + "x" +
             std::to_string(b.cameras[i].height) + ")";
    }
  }
  return {};
}

}  // namespace nudge
