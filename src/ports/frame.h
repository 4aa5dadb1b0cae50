// The frame that every message of the robot's and the teleoperation protocol travels in: a header
// of 16 bytes, then a body with a fixed layout, all little-endian, in one ZeroMQ part. No socket
// here: bytes in, values out. docs/reference/robot-protocol.md and teleop-protocol.md specify it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nudge/status.h"
#include "nudge/time.h"

namespace nudge {

inline constexpr std::uint8_t kWireMajor = 1;
// The newest minor version that is understood. A frame is written with the lowest one that has all
// its fields, so that an older reader refuses nothing it could read.
inline constexpr std::uint8_t kWireMinor = 1;
inline constexpr std::size_t kWireHeader = 16;         // bytes
inline constexpr std::size_t kMaxHello = 16u << 10;    // bytes of its JSON
inline constexpr int kMaxHelloDepth = 8;               // of its JSON
inline constexpr std::size_t kMaxRefusalText = 512;    // bytes
inline constexpr std::size_t kMaxChannels = 256;       // of an observation's vector
inline constexpr std::size_t kMaxActionChannels = 64;  // as the broker allows
inline constexpr std::size_t kMaxWireCameras = 16;

// Numbers of the wire: never renumber. The robot's protocol has 1..31, teleoperation 33..63, so
// that a peer at the wrong port is refused by its first message.
enum class WireType : std::uint16_t {
  kRobotHello = 1,
  kRobotObservation = 2,
  kRobotReport = 3,
  kRobotWelcome = 16,
  kRobotRefusal = 17,
  kRobotAction = 18,
  kRobotHold = 19,
  kRobotEstop = 20,
  kRobotResetEstop = 21,
  kRobotReset = 22,

  kTeleopHello = 33,
  kTeleopJog = 34,
  kTeleopFeedback = 35,
  kTeleopAlive = 36,
  kTeleopBye = 37,
  kTeleopWelcome = 48,
  kTeleopRefusal = 49,
  kTeleopState = 50,
  kTeleopAck = 51,
};

// Why a peer is turned away. Numbers of the wire: never renumber.
enum class RefusalReason : std::uint16_t {
  kVersion = 1,      // no protocol version in common
  kMalformed = 2,    // the hello breaks a rule
  kBusy = 3,         // another robot is connected; or too many peers
  kSpecDiffers = 4,  // the robot is not the one that the daemon knows
  kNoSession = 5,    // say hello (again)
  kClockJumped = 6,  // the robot's clock is not steady; say hello again
  kToken = 7,        // no such token
  kOtherRobot = 8,   // this daemon drives another robot
  kRate = 9,         // too many messages
};
std::string_view to_string(RefusalReason reason);

// Both protocols turn peers away in the same way.
struct Refusal {
  RefusalReason reason = RefusalReason::kMalformed;
  std::string text;  // for people, at most kMaxRefusalText bytes
  friend bool operator==(const Refusal&, const Refusal&) = default;
};

// The number of a Code on the wire, and back; an unknown number is kInternal.
std::uint16_t wire_code(Code code);
Code code_of_wire(std::uint16_t number);

// A message with the session that its header names: given in the welcome, 0 before.
template <typename Message>
struct Framed {
  std::uint32_t session = 0;
  Message message;
};

using WireBytes = std::vector<std::byte>;

// Writes one frame into a buffer that keeps its memory from message to message.
class WireWriter {
 public:
  WireWriter(WireBytes& out, WireType type, std::uint32_t session, std::uint8_t minor = 0);
  ~WireWriter();  // puts the length into the header
  WireWriter(const WireWriter&) = delete;
  WireWriter& operator=(const WireWriter&) = delete;

  void u8(std::uint8_t value) { number(value, 1); }
  void u16(std::uint16_t value) { number(value, 2); }
  void u32(std::uint32_t value) { number(value, 4); }
  void u64(std::uint64_t value) { number(value, 8); }
  void instant(Instant value) { u64(static_cast<std::uint64_t>(value.time_since_epoch().count())); }
  void floats(std::span<const float> values);
  void bytes(std::span<const std::uint8_t> values);
  void text(std::string_view text);  // its bytes alone
  // u16 length, then at most `limit` bytes of it, cut between characters of UTF-8.
  void short_text(std::string_view text, std::size_t limit);

 private:
  void number(std::uint64_t value, int bytes);
  WireBytes& out_;
};

// Reads one frame. The first failure sticks; after it everything reads as zero, and nothing is ever
// read or allocated beyond the frame.
class WireReader {
 public:
  // kInvalidArgument: no frame of ours, or its length is not that of `frame`.
  static Result<WireReader> open(std::span<const std::byte> frame);

  std::uint8_t major() const { return major_; }
  std::uint8_t minor() const { return minor_; }
  std::uint16_t type() const { return type_; }
  std::uint32_t session() const { return session_; }
  std::size_t left() const { return body_.size(); }
  std::string_view rest() const;  // of the body, as text

  std::uint8_t u8() { return static_cast<std::uint8_t>(number(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(number(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(number(4)); }
  std::uint64_t u64() { return number(8); }
  // Times outside of +-146 years are refused, so that differences of two never overflow.
  Instant instant();
  std::vector<float> floats(std::size_t count);
  std::vector<std::uint8_t> bytes(std::size_t count);
  std::string short_text(std::size_t limit);

  void require(bool holds, std::string_view what);
  // kUnimplemented for another major version, else the first failure. A later minor version may
  // have appended fields; otherwise the body must have been read to its end.
  Status finish() const;

 private:
  WireReader() = default;
  std::uint64_t number(std::size_t bytes);
  std::span<const std::byte> take(std::size_t bytes);

  std::span<const std::byte> body_;
  std::uint8_t major_ = 0, minor_ = 0;
  std::uint16_t type_ = 0;
  std::uint32_t session_ = 0;
  std::string_view broken_;
};

// Looks at a JSON text before it is parsed: its size, and the depth of its brackets.
Status check_json_bounds(std::string_view text, std::size_t max_bytes, int max_depth);

// 1 to `limit` bytes of printable ASCII.
bool printable_name(std::string_view text, std::size_t limit);

}  // namespace nudge
